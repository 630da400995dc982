"""What was sent and what became of it, on disk before it is sent: the one account of a round that no fault reaches.

Each line of a ledger is a JSON object. One with `key` and `hash` says what is about to be sent, one with `outcome` what
came of it: `ok` (the broker has acknowledged it), `failed` (it never left) or `unknown` (nobody knows). What has no
outcome is unknown.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from kafka import KafkaProducer
from kafka.errors import KafkaError, MessageSizeTooLargeError

from schemas.partitioning import partition_of
from schemas.topics import TOUCHPOINTS
from tests.integration.expectations import touchpoint
from tests.integration.harness import Feed

Outcome = Literal["ok", "failed", "unknown"]

START_MS = 1_780_000_000_000
BATCH = 50
MOST_BYTES = 20_000
TOO_LARGE = "x" * (MOST_BYTES + 1)


@dataclass(frozen=True)
class Entry:
    """One record of a ledger. `hash` is that of its value."""

    id: str
    key: str
    hash: str
    outcome: Outcome = "unknown"


@dataclass(frozen=True)
class Event:
    """One record to send."""

    id: str
    record: Feed


def generate(seed: int, count: int, customers: int = 40) -> list[Event]:
    """Visits of some customers, of which a few no worker takes and a few no producer sends.

    The same arguments give the same.
    """
    chosen = random.Random(seed)
    now_ms = START_MS
    events = []
    for number in range(count):
        # Some pauses are longer than the gap that ends a journey.
        now_ms += chosen.choice((1_000, 20_000, 90_000))
        identity, customer = f"L{seed}-{number:06}", f"C-{chosen.randrange(customers)}"
        text = TOO_LARGE if number % 97 == 13 else "é" * chosen.randrange(40)
        properties, more = {"n": number, "text": text}, {"source": "moon"} if number % 41 == 7 else {}
        events.append(Event(identity, touchpoint(customer, identity, now_ms, properties=properties, **more)))
    return events


def _entry_line(event: Event) -> dict[str, str]:
    key, value = event.record.key or b"", event.record.value or b""
    return {"id": event.id, "key": key.decode(), "hash": hash_value(value)}


def hash_value(value: bytes) -> str:
    """The hash by which a value is known."""
    return hashlib.sha256(value).hexdigest()


class Ledger:
    """Writes a ledger; nothing is told that is not on the disk. A context manager."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("ab", buffering=0)
        self._lock = threading.Lock()
        self._outcomes: list[dict[str, str]] = []

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.flush()
        self._file.close()

    def announce(self, events: Sequence[Event]) -> None:
        """Write what is about to be sent, and the outcomes known by now."""
        self._write([_entry_line(each) for each in events])

    def settle(self, identity: str, outcome: Outcome) -> None:
        """Note an outcome; it is written with the next announcement or flush. From any thread."""
        with self._lock:
            self._outcomes.append({"id": identity, "outcome": outcome})

    def flush(self) -> None:
        """Write the outcomes that are known."""
        self._write([])

    def _write(self, lines: list[dict[str, str]]) -> None:
        with self._lock:
            lines, self._outcomes = self._outcomes + lines, []
        if lines:
            self._file.write(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
            os.fsync(self._file.fileno())


def read_ledger(path: Path) -> dict[str, Entry]:
    """Entries by id. A last line that a death has torn is left out."""
    entries: dict[str, Entry] = {}
    for line in _whole_lines(path.read_bytes()):
        if "key" in line:
            entries[line["id"]] = Entry(**line)
        else:
            entries[line["id"]] = replace(entries[line["id"]], outcome=line["outcome"])
    return entries


def _whole_lines(data: bytes) -> Iterator[dict[str, Any]]:
    for line in data.split(b"\n")[:-1]:
        yield json.loads(line)


def send_noted(
    ledger: Ledger,
    events: Sequence[Event],
    options: dict[str, Any],
    partitions: int,
    per_second: float,
    *,
    is_patient: bool = True,
) -> None:
    """Send events, each announced before, and settle those of which an answer comes.

    One that is not patient sends nothing a second time, and so never learns what became of some.
    """
    retrying = {} if is_patient else {"retries": 0, "enable_idempotence": False}
    producer = KafkaProducer(
        **options, **retrying, acks="all", linger_ms=2, max_request_size=MOST_BYTES, metrics_enabled=False,
        request_timeout_ms=3_000, delivery_timeout_ms=20_000, retry_backoff_ms=50, reconnect_backoff_max_ms=500,
    )  # fmt: skip
    began = time.monotonic()
    try:
        for start in range(0, len(events), BATCH):
            if (ahead := began + start / per_second - time.monotonic()) > 0:
                time.sleep(ahead)
            batch = events[start : start + BATCH]
            ledger.announce(batch)
            for event in batch:
                _send(ledger, producer, event, partitions)
        producer.flush(30)
    finally:
        producer.close(timeout=5)
        ledger.flush()


def _send(ledger: Ledger, producer: KafkaProducer, event: Event, partitions: int) -> None:
    record = event.record
    partition = partition_of(record.key or b"", partitions)
    try:
        future = producer.send(TOUCHPOINTS, record.value, record.key, partition=partition)
    except MessageSizeTooLargeError:
        ledger.settle(event.id, "failed")
        return
    except KafkaError:
        return
    # An error after it was handed over may be about the answer alone: it stays unknown.
    future.add_callback(lambda _: ledger.settle(event.id, "ok"))
