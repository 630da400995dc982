"""A spool against a real broker that is killed, and after processes that are."""

import gc
import json
import os
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from kafka import KafkaConsumer, TopicPartition

from deploy.local.stack import LocalStack
from producers.client import Client
from producers.replay import replay_file
from producers.spool import KafkaReach, Spool
from producers.topics import create_topics
from tests.producers.broker_double import BrokerDouble
from tests.producers.spooling import TIMING

ROOT = Path(__file__).resolve().parent.parent.parent
PARTITIONS = 2
# The client of Kafka leaves the sockets of failed attempts to the garbage collector, which must find them here.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@pytest.fixture(autouse=True)
def collect_sockets() -> Iterator[None]:
    yield
    gc.collect()


def number_of(event_id: str) -> int:
    return int(event_id.removeprefix("e-"))


def read_by_key(servers: str) -> dict[bytes, list[int]]:
    """The numbers of the touchpoints in the topic as each key first got them, until nothing more comes."""
    consumer = KafkaConsumer(bootstrap_servers=servers, auto_offset_reset="earliest", consumer_timeout_ms=1500)
    consumer.assign([TopicPartition("touchpoints", number) for number in range(PARTITIONS)])
    found: dict[bytes, dict[int, None]] = defaultdict(dict)
    for record in consumer:
        found[record.key].setdefault(number_of(json.loads(record.value)["event_id"]))
    consumer.close()
    return {key: list(numbers) for key, numbers in found.items()}


def assert_complete(found: dict[bytes, list[int]], numbers: range) -> None:
    """Everything is there, once for each event id, and each key has it in order."""
    assert sorted(number for each in found.values() for number in each) == list(numbers)
    assert all(each == sorted(each) for each in found.values())


def track(client: Client, numbers: range) -> None:
    for number in numbers:
        client.track("kiosk", source="web", identifiers={"customer_id": f"C-{number % 5}"}, event_id=f"e-{number}")


@pytest.mark.integration
def test_what_is_tracked_while_the_broker_is_dead_arrives_when_it_is_back(tmp_path: Path) -> None:
    with LocalStack(tmp_path / "stack", run_clickhouse=False) as stack:
        options = {"bootstrap_servers": stack.kafka}
        create_topics(options, PARTITIONS)
        spool = Spool(tmp_path / "spool", KafkaReach(lambda: options), timing=TIMING)
        with Client.through(spool) as client:
            track(client, range(200))
            report = client.flush()
            assert (report.delivered, report.spooled, report.undelivered) == (200, 0, [])
            assert_complete(read_by_key(stack.kafka), range(200))
            kafka = stack.process("kafka")
            os.kill(kafka.pid or 0, signal.SIGKILL)
            kafka.stop()
            track(client, range(200, 500))
            report = client.flush()
            assert (report.delivered, report.spooled, report.undelivered) == (0, 300, [])
            assert client.spool is not None and client.spool.records == 300 and client.spool.fault
            kafka.start()
            kafka.wait_healthy()
            # The broker keeps topics in memory only.
            create_topics(options, PARTITIONS)
            track(client, range(500, 600))
            assert client.drain(20)
            report = client.flush()
            assert report.delivered + report.spooled == 100 and not report.undelivered
            assert_complete(read_by_key(stack.kafka), range(200, 600))
            assert client.spool.records == 0


@pytest.mark.integration
def test_what_a_killed_process_had_accepted_is_sent_by_the_next_one(tmp_path: Path) -> None:
    with LocalStack(tmp_path / "stack", run_clickhouse=False) as stack:
        options = {"bootstrap_servers": stack.kafka}
        create_topics(options, PARTITIONS)
        command = [sys.executable, "-m", "tests.producers.spooling", "track", stack.kafka, str(tmp_path / "spool")]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as running:
            assert running.stdout is not None
            accepted = [next(running.stdout) for _ in range(300)]
            stack.process("kafka").suspend()
            accepted += [next(running.stdout) for _ in range(300)]
            running.kill()
            accepted += running.stdout.readlines()
        stack.process("kafka").resume()
        newest = max((tmp_path / "spool").glob("*.segment"))
        with newest.open("ab") as file:
            file.write(b"half a head")
        said: list[str] = []
        spool = Spool(tmp_path / "spool", KafkaReach(lambda: options), say=said.append, timing=TIMING)
        waiting = spool.status().records
        assert spool.drain(20)
        spool.close(1)
        found = read_by_key(stack.kafka)
    last = max(number for numbers in found.values() for number in numbers)
    assert waiting >= 300 and ["cut off after 11 bytes" in line for line in said] == [True]
    assert number_of(accepted[-1].strip()) <= last
    assert_complete(found, range(last + 1))


def test_a_replay_into_a_spool_that_is_killed_goes_on_and_loses_nothing(tmp_path: Path) -> None:
    began = datetime(2026, 1, 1, tzinfo=UTC)
    path, progress = tmp_path / "in.ndjson", tmp_path / "in.ndjson.progress.json"
    rows = [
        {
            "event_id": f"e-{number}", "source": "web", "type": "kiosk",
            "occurred_at": (began + timedelta(seconds=number)).isoformat(),
            "identifiers": {"customer_id": f"C-{number % 5}"},
        }
        for number in range(1000)
    ]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    command = [sys.executable, "-m", "tests.producers.spooling", "replay", str(path), str(tmp_path / "spool")]
    with subprocess.Popen(command, cwd=ROOT) as running:
        while running.poll() is None and not progress.exists():
            pass
        running.kill()
    done = json.loads(progress.read_text())
    assert 0 < done["spooled"] == done["line"] < 1000 and done["delivered"] == 0
    broker = BrokerDouble()
    with Client.through(Spool(tmp_path / "spool", broker.reach, say=lambda _: None)) as client:
        assert client.spool is not None and client.spool.records + len(broker.records) >= done["line"]
        summary = replay_file(path, client)
        assert client.drain(20)
    assert summary.resumed_after_line == done["line"] and summary.delivered + summary.spooled == 1000 - done["line"]
    found: dict[bytes, dict[int, None]] = defaultdict(dict)
    for _, record in broker.records:
        found[record.key].setdefault(number_of(json.loads(record.value)["event_id"]))
    assert_complete({key: list(numbers) for key, numbers in found.items()}, range(1000))
