"""The ground that a benchmark runs on: a fresh local stack in a temporary directory, topics, tables, a worker."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from confluent_kafka import Producer
from kafka.admin import KafkaAdminClient
from kafka.errors import CoordinatorNotAvailableError

from benchmarks.worker import Worker
from deploy.local.stack import KafkaKind, LocalStack
from deploy.services import clickhouse_client_options
from producers.topics import create_topics
from schemas.settings import Settings
from schemas.topics import TOUCHPOINTS
from sinks.migrate import migrate
from sinks.writer import ClickHouseWriter

GROUP = "journeys"
PARTITIONS = 4
ROOT = Path(__file__).parents[1]
STOP_SECONDS = 30.0

Report = Callable[[str], None]


class BenchmarkFailed(Exception):
    """The measured thing did not do its work, so there is nothing to measure; one line for a person."""


@contextlib.contextmanager
def show_progress() -> Iterator[Report]:
    """Yield what shows one line on a terminal, each in place of the one before; elsewhere it shows nothing."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    yield lambda text: print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
    print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def wait_until(condition: Callable[[], bool], what: str, seconds: float, every_seconds: float = 0.05) -> None:
    """Raises BenchmarkFailed, saying `what` did not come, after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise BenchmarkFailed(f"not within {seconds:g} s: {what}")
        time.sleep(every_seconds)


class Ground:
    """A fresh stack with topics and tables. A context manager: on the way out all that was started is stopped."""

    def __init__(self, kafka: KafkaKind = "memory") -> None:
        self._kind = kafka
        self._opened = contextlib.ExitStack()
        self._numbers = itertools.count()

    def __enter__(self) -> Ground:
        with contextlib.ExitStack() as opened:
            self.directory = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="journeys-benchmark-")))
            self.stack = opened.enter_context(LocalStack(self.directory, kafka=self._kind))
            self.kafka = self.stack.kafka
            self.clickhouse_options = clickhouse_client_options(self.stack.clickhouse_url, Settings.model_construct())
            migrate(self.clickhouse_options)
            create_topics({"bootstrap_servers": [self.kafka]}, PARTITIONS)
            self.writer = ClickHouseWriter(self.clickhouse_options)
            opened.callback(self.writer.close)
            self._admin = KafkaAdminClient(bootstrap_servers=[self.kafka])
            opened.callback(self._admin.close)
            self._opened = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def load(self, records: Iterable[tuple[bytes, bytes]], report: Report, count: int) -> None:
        """Send (key, value) records to the touchpoint topic. Raises BenchmarkFailed when not all were taken."""
        failures: list[str] = []

        def note(error: object, _: object) -> None:
            if error is not None:
                failures.append(str(error))

        producer = Producer(producer_options(self.kafka, linger_ms=50))
        sent = 0
        for sent, (key, value) in enumerate(records, 1):
            producer.produce(TOUCHPOINTS, value, key, on_delivery=note)
            producer.poll(0)
            if sent % 10_000 == 0:
                report(f"loading {sent:,} of {count:,} touchpoints")
        left = producer.flush(60)
        if left or failures or sent != count:
            first = f": {failures[0]}" if failures else ""
            raise BenchmarkFailed(f"{sent - left - len(failures)} of {count} touchpoints were loaded{first}")

    def committed_records(self) -> int:
        """How many records of the touchpoint topic the workers' group has committed."""
        try:
            answers = self._admin.list_group_offsets({GROUP: None}).get(GROUP, {})
        except CoordinatorNotAvailableError:
            # Apache Kafka answers so while it makes room for its first group.
            return 0
        return sum(found.offset for place, found in answers.items() if place.topic == TOUCHPOINTS and found.offset > 0)

    def query_count(self, sql: str) -> int:
        """The single number that a query answers with."""
        return int(self.writer.query(sql)[0][0])

    @contextlib.contextmanager
    def worker(self, **settings: str) -> Iterator[Worker]:
        """Run one worker, configured by `settings` alone; on the way out it is asked to stop.

        Raises BenchmarkFailed when it does not end with status 0. One that was killed has ended already.
        """
        told = {
            "data_dir": str(self.directory), "metrics_port": "0", "consumer_group": GROUP, "session_timeout": "6s",
            **settings,
        }  # fmt: skip
        environment = {f"JOURNEYS_{name.upper()}": value for name, value in told.items()}
        log = self.directory / f"worker-{next(self._numbers)}.log"
        with log.open("wb") as output:
            # Its own directory, so that no `journeys.toml` and no variable of this shell changes what is measured.
            process = subprocess.Popen(
                [sys.executable, "-m", "console.cli", "worker"],
                cwd=self.directory, env={**_inherited(), **environment, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        try:
            worker = Worker(process, self.directory, log)
            yield worker
            if not worker.was_killed:
                _stop(process, log)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def producer_options(servers: str, linger_ms: int) -> dict[str, str | int | float | bool]:
    """confluent-kafka's options for a producer that puts each key where the platform expects it."""
    return {
        "bootstrap.servers": servers,
        "partitioner": "murmur2_random",
        "linger.ms": linger_ms,
        "batch.size": 1 << 18,
        "queue.buffering.max.messages": 1_000_000,
    }


def _inherited() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("JOURNEYS_") and name not in ("KAFKA", "CLICKHOUSE")
    }


def _stop(process: subprocess.Popen[bytes], log: Path) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        code = process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        raise BenchmarkFailed(f"the worker has not stopped within {STOP_SECONDS:g} s") from None
    if code != 0:
        lines = log.read_text("utf-8", "replace").splitlines()
        raise BenchmarkFailed(f"the worker ended with status {code}: {lines[-1] if lines else 'it said nothing'}")
