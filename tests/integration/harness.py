"""A whole platform in a directory: local stack, topics, tables, and workers as processes that can be killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import RetriableError

from console.kafka_positions import read_committed
from console.metrics_page import Samples, parse_metrics
from deploy.local.stack import KafkaKind, LocalStack
from deploy.services import clickhouse_client_options
from producers.topics import create_topics
from schemas.partitioning import partition_of
from schemas.settings import Settings
from schemas.topics import IDENTITY_LINKS, TOUCHPOINTS, TOUCHPOINTS_REKEYED
from sinks.migrate import migrate
from sinks.writer import ClickHouseWriter
from streams.worker_note import note_path
from tests.integration.pacing import paced

GROUP = "journeys"
ROOT = Path(__file__).parents[2]
LOG_LINES = 60
QUIET_SECONDS = 1.5


@dataclass(frozen=True)
class Feed:
    """One record to send. `partition` None: where its key belongs."""

    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    partition: int | None = None


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 80.0, every: float = 0.1) -> float:
    """Wait for a condition and return how long that took; raises AssertionError, saying `what` did not come."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(every)
    return time.monotonic() - began


class WorkerProcess:
    """One worker. Its log is a file; all that it is told comes by the environment."""

    def __init__(self, name: str, directory: Path, environment: dict[str, str], module: str) -> None:
        self.name = name
        self.log = directory / f"{name}.log"
        self._notes = directory / "workers"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module],
                cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        """kill -9, and wait for its end."""
        self._process.kill()
        self._process.wait()

    def terminate(self, seconds: float = 30.0) -> int:
        """Ask it to stop; returns its exit code. Raises AssertionError when it takes longer than `seconds`."""
        self._process.terminate()
        return self.wait(seconds)

    def wait(self, seconds: float) -> int:
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"worker {self.name} has not ended within {seconds:g} s") from None

    def metrics(self) -> Samples:
        """What its /metrics page says now; no samples while it serves none."""
        try:
            return parse_metrics([self.metrics_page()])
        except OSError:
            return Samples({})

    def metrics_page(self) -> str:
        """The page as text. Raises OSError while there is none."""
        url = json.loads(note_path(self._notes, self.pid).read_text("utf-8"))["metrics_url"]
        with urllib.request.urlopen(url, timeout=5) as answer:
            return str(answer.read().decode())

    def last_log_lines(self) -> str:
        lines = self.log.read_text("utf-8", "replace").splitlines()
        code = "running" if self.exit_code is None else f"exit code {self.exit_code}"
        return "\n".join([f"--- worker {self.name} ({code})", *lines[-LOG_LINES:]])


@dataclass
class Platform:
    """Stack, topics and tables under `directory`, all of one test's own. A context manager.

    `settings` are the workers' (`journey_gap="30m"`). At its end the ends of the workers' logs are printed.
    """

    directory: Path
    settings: dict[str, str] = field(default_factory=dict)
    partitions: int = 4
    kafka: KafkaKind = "memory"
    brokers: int = 1
    module: str = "tests.integration.worker_process"
    workers: list[WorkerProcess] = field(default_factory=list)
    ends: dict[tuple[str, int], int] = field(default_factory=lambda: defaultdict(int))

    def __enter__(self) -> Platform:
        with contextlib.ExitStack() as opened:
            self.stack = opened.enter_context(LocalStack(self.directory, kafka=self.kafka, brokers=self.brokers))
            self.kafka_options = {"bootstrap_servers": self.stack.kafka.split(",")}
            self._furnish(opened)
            self._opened = opened.pop_all()
        return self

    def _furnish(self, opened: contextlib.ExitStack) -> None:
        """Topics, tables and connections, once the servers are there and `kafka_options` are known."""
        self.clickhouse_options = self._make_tables(opened)
        create_topics(self.kafka_options, self.partitions)
        self.writer = ClickHouseWriter(self.clickhouse_options)
        opened.callback(self.writer.close)
        self._connect()
        opened.callback(self._disconnect)
        opened.callback(self._kill_workers)

    def _make_tables(self, opened: contextlib.ExitStack) -> dict[str, Any]:
        options = clickhouse_client_options(self.stack.clickhouse_url, Settings())
        migrate(options)
        return options

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # pytest shows what is printed only where a test has failed.
        for worker in self.workers:
            print(worker.last_log_lines())
        self._opened.close()

    def _connect(self) -> None:
        self._admin = KafkaAdminClient(**self.kafka_options)
        self.producer = KafkaProducer(
            **self.kafka_options, linger_ms=2, acks="all", max_request_size=16 << 20, metrics_enabled=False
        )

    def _disconnect(self) -> None:
        self._admin.close()
        self.producer.close(timeout=2)

    def replace_broker(self, partitions: int) -> None:
        """An empty broker in the place of the old one, with other partition counts; ClickHouse stays as it is."""
        self._disconnect()
        broker = self.stack.process("kafka")
        broker.kill()
        broker.wait_healthy()
        self.partitions = partitions
        self.ends.clear()
        create_topics(self.kafka_options, partitions)
        self._connect()

    def _kill_workers(self) -> None:
        for worker in self.workers:
            if worker.exit_code is None:
                worker.kill()

    def start_worker(self, **settings: str) -> WorkerProcess:
        """Start one more worker; `settings` go over those of the platform."""
        told = {
            "data_dir": str(self.directory),
            "metrics_port": "0",
            "session_timeout": "3s",
            "flush_interval": "500ms",
            **self.settings,
            **settings,
        }
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("JOURNEYS_")}
        environment = {**inherited, **{f"JOURNEYS_{name.upper()}": value for name, value in told.items()}}
        worker = WorkerProcess(f"worker-{len(self.workers)}", self.directory, environment, self.module)
        self.workers.append(worker)
        return worker

    def alive(self) -> list[WorkerProcess]:
        return [worker for worker in self.workers if worker.exit_code is None]

    def restart(self, worker: WorkerProcess) -> WorkerProcess:
        """kill -9, and another in its place."""
        worker.kill()
        return self.start_worker()

    def send(self, records: Iterable[Feed], topic: str = TOUCHPOINTS) -> list[tuple[int, int]]:
        """Send records, wait until the broker has them, and return (partition, offset) of each."""
        sent = self._post(records, topic)
        self.producer.flush(30)
        metadata = [future.get(timeout=30) for future in sent]
        return [(each.partition, each.offset) for each in metadata]

    def _post(self, records: Iterable[Feed], topic: str = TOUCHPOINTS) -> list[Any]:
        sent = []
        for record in records:
            partition = record.partition
            if partition is None and record.key is not None:
                partition = partition_of(record.key, self.partitions)
            future = self.producer.send(topic, record.value, record.key, list(record.headers), partition=partition)
            sent.append(future.add_callback(self.note_end))
        return sent

    def note_end(self, metadata: Any) -> None:
        """Note that a record was sent, and has to be committed one day."""
        place = metadata.topic, metadata.partition
        self.ends[place] = max(self.ends[place], metadata.offset + 1)

    @contextlib.contextmanager
    def sending(self, records: Sequence[Feed], per_second: float) -> Iterator[None]:
        """Send in the background for as long as the body runs, and the rest at once on the way out."""
        is_over = threading.Event()
        slices = paced(records, per_second, is_over)
        with ThreadPoolExecutor(1, thread_name_prefix="feed") as thread:
            future = thread.submit(lambda: [sent for part in slices for sent in self._post(part)])
            try:
                yield
            finally:
                is_over.set()
            for sent in future.result():
                sent.get(timeout=30)

    def committed(self) -> dict[tuple[str, int], int]:
        """The group's committed positions by (topic, partition)."""
        answers = self._ask(lambda: read_committed(self.kafka_options, GROUP))
        return {(place.topic, place.partition): offset for place, offset in answers.items()}

    def _ask(self, question: Callable[[], Any]) -> Any:
        """An answer of Kafka, asked until it has one: a broker may be gone, or never have been asked for a group."""
        answers: list[Any] = []

        def has_answered() -> bool:
            with contextlib.suppress(RetriableError):
                answers.append(question())
            return bool(answers)

        wait_until(has_answered, "Kafka to answer")
        return answers[0]

    def commit(self, positions: Mapping[tuple[str, int], int]) -> None:
        """Commit positions in the group's name, as a member of it, once no other is left."""
        offsets = {TopicPartition(*place): OffsetAndMetadata(offset, "", -1) for place, offset in positions.items()}
        with self._consumer(GROUP) as consumer:
            consumer.subscribe(sorted({place.topic for place in offsets}))

            def is_assigned() -> bool:
                consumer.poll(timeout_ms=100)
                return bool(offsets.keys() <= consumer.assignment())

            wait_until(is_assigned, "the group to be ours")
            consumer.commit(offsets)

    def lag(self) -> int:
        """Records not committed: against what this test sent, and what the broker says of the workers' own topics."""
        committed = self.committed()
        ends = {**self.broker_ends(TOUCHPOINTS_REKEYED), **self.broker_ends(IDENTITY_LINKS), **self.ends}
        return sum(max(0, end - committed.get(place, 0)) for place, end in ends.items())

    def broker_ends(self, topic: str) -> dict[tuple[str, int], int]:
        """End offsets as the broker reports them. The memory-only one's are too low by the length of its last batch."""
        with self._consumer() as consumer:
            ends = consumer.end_offsets([TopicPartition(topic, number) for number in range(self.partitions)])
        return {(topic, place.partition): end for place, end in ends.items()}

    def delete_before(self, topic: str, partition: int, offset: int) -> None:
        """Have a partition begin at an offset, as retention does one day."""
        self._admin.delete_records({TopicPartition(topic, partition): offset})

    def leader(self, topic: str, partition: int) -> int:
        """The number of the broker that leads a partition; -1 while none does."""
        [described] = self._ask(lambda: self._admin.describe_topics([topic]))
        return next(int(each["leader_id"]) for each in described["partitions"] if each["partition_index"] == partition)

    def wait_idle(self, seconds: float = 100.0) -> float:
        """Wait until everything sent is committed, nothing is left of it, and a worker is alive; returns seconds."""
        return wait_until(self._is_idle, "lag 0", seconds, every=0.2)

    def _is_idle(self) -> bool:
        assert self.alive(), "no worker is alive"
        if self._errands() or self.lag():
            return False
        if not any(self.broker_ends(IDENTITY_LINKS).values()):
            return True
        # What workers send to each other may be further than the broker says: it must stay quiet for a while.
        ends = self._own_ends()
        time.sleep(QUIET_SECONDS)
        return not self._errands() and not self.lag() and self._own_ends() == ends

    def _errands(self) -> float:
        return sum(worker.metrics().total("identity_errands") for worker in self.alive())

    def _own_ends(self) -> list[dict[tuple[str, int], int]]:
        return [self.broker_ends(topic) for topic in (TOUCHPOINTS_REKEYED, IDENTITY_LINKS)]

    def wait_assigned(self, *workers: WorkerProcess) -> None:
        """Wait until these workers own all partitions among them."""

        def is_assigned() -> bool:
            return sum(worker.metrics().total("partitions_assigned") for worker in workers) == self.partitions

        wait_until(is_assigned, "all partitions assigned")

    @contextlib.contextmanager
    def _consumer(self, group: str | None = None) -> Iterator[Any]:
        consumer = KafkaConsumer(
            **self.kafka_options, group_id=group, enable_auto_commit=False, metrics_enabled=False,
            fetch_max_wait_ms=100, max_partition_fetch_bytes=16 << 20, session_timeout_ms=6_000,
        )  # fmt: skip
        try:
            yield consumer
        finally:
            consumer.close(autocommit=False)

    @contextlib.contextmanager
    def tail(self, topic: str) -> Iterator[Callable[[], list[Any]]]:
        """Read a topic from its start: calling what this yields returns the records that came since."""
        with self._consumer() as consumer:
            places = [TopicPartition(topic, number) for number in range(self.partitions)]
            consumer.assign(places)
            consumer.seek_to_beginning(*places)

            def read() -> list[Any]:
                return [record for records in consumer.poll(timeout_ms=50).values() for record in records]

            yield read

    def read_topic(self, topic: str, quiet_seconds: float = 1.5) -> list[Any]:
        """Every record of a topic, read until nothing more comes for a while."""
        found: list[Any] = []
        with self.tail(topic) as read:
            last = time.monotonic()
            while time.monotonic() - last < quiet_seconds:
                if records := read():
                    found += records
                    last = time.monotonic()
        return found

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        return self.writer.query(sql)

    def members(self) -> dict[tuple[str, str], tuple[str, str]]:
        """(source, event_id) of each touchpoint to its (customer, journey), through the analysts' view."""
        rows = self.query("SELECT source, event_id, customer_id, toString(journey_id) FROM analytics.touchpoints")
        assert len(rows) == len({row[:2] for row in rows}), "a touchpoint is there twice"
        return {(source, event_id): (customer, journey) for source, event_id, customer, journey in rows}

    def journeys(self) -> dict[str, tuple[str, int, int, int]]:
        """Journey id to (customer, start ms, end ms, touchpoints), through the analysts' view."""
        rows = self.query(
            "SELECT toString(journey_id), customer_id, toUnixTimestamp64Milli(started_at), "
            "toUnixTimestamp64Milli(ended_at), touchpoints FROM analytics.journeys"
        )
        assert len(rows) == len({row[0] for row in rows}), "a journey is there twice"
        return {row[0]: row[1:] for row in rows}

    def dead_letter_reasons(self) -> Counter[str]:
        return Counter(row[0] for row in self.query("SELECT reason FROM journeys.dead_letters FINAL"))


def suspend(worker: WorkerProcess) -> None:
    worker.signal(signal.SIGSTOP)


def resume(worker: WorkerProcess) -> None:
    worker.signal(signal.SIGCONT)
