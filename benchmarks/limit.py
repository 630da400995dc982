"""The limit: a bare loop that does the least that could be called the job, and keeps nothing durable.

confluent-kafka consume, msgspec typed parse, repeated ids among the last 16 dropped, sessions by a 30-minute gap in a
dict (the newest three of a customer; a late touchpoint may join two), one JSON row per changed session and batch, which
is thrown away.
One process, no group, no output. `python -m benchmarks.limit SERVERS PARTITIONS COUNT` prints records per second.
"""

from __future__ import annotations

import sys
import time
from datetime import datetime
from typing import Any

import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from benchmarks.workload import COUNT, GAP_MS
from schemas.topics import TOUCHPOINTS

KEPT_IDS = 16
KEPT_SESSIONS = 3
BATCH_RECORDS = 5_000
_BITS = {"web": 1, "store": 2, "support": 4, "delivery": 8}
_encode = msgspec.json.Encoder().encode


class Touchpoint(msgspec.Struct, gc=False):
    """What the limit reads of a touchpoint."""

    event_id: str
    source: str
    type: str
    occurred_at: datetime
    identifiers: dict[str, str]
    order_id: str | None = None
    channel: str | None = None
    properties: dict[str, Any] = {}


class Session(msgspec.Struct, gc=False):
    """One session: a time range, how many touchpoints, which sources."""

    session_id: str
    first_ms: int
    last_ms: int
    count: int
    sources: int


class Sessions:
    """The newest sessions of one customer, and its last event ids."""

    __slots__ = ("newest", "seen")

    def __init__(self) -> None:
        self.newest: list[Session] = []
        self.seen: list[int] = []

    def feed(self, touchpoint: Touchpoint, changed: dict[str, Session]) -> None:
        """Extend or join sessions, or start one; notes in `changed` what a row is due for."""
        identity = int(touchpoint.event_id[:8] + touchpoint.event_id[9:13], 16)
        if identity in self.seen:
            return
        self.seen.append(identity)
        if len(self.seen) > KEPT_IDS:
            del self.seen[0]
        moment_ms = int(touchpoint.occurred_at.timestamp() * 1000 + 0.5)
        bit = _BITS[touchpoint.source]
        hit: Session | None = None
        for session in reversed(self.newest):
            if session.first_ms - GAP_MS <= moment_ms <= session.last_ms + GAP_MS:
                if hit is not None:
                    self._join(session, hit, changed)
                    hit = session
                    break
                hit = session
                hit.first_ms = min(hit.first_ms, moment_ms)
                hit.last_ms = max(hit.last_ms, moment_ms)
                hit.count += 1
                hit.sources |= bit
        if hit is None:
            hit = Session(f"{identity:012x}", moment_ms, moment_ms, 1, bit)
            self.newest.append(hit)
            self.newest.sort(key=lambda session: session.first_ms)
            if len(self.newest) > KEPT_SESSIONS:
                del self.newest[0]
        changed[hit.session_id] = hit

    def _join(self, older: Session, newer: Session, changed: dict[str, Session]) -> None:
        older.first_ms = min(older.first_ms, newer.first_ms)
        older.last_ms = max(older.last_ms, newer.last_ms)
        older.count += newer.count
        older.sources |= newer.sources
        changed[newer.session_id] = Session(newer.session_id, newer.first_ms, newer.last_ms, 0, 0)
        self.newest.remove(newer)


def run(servers: str, partitions: int, count: int) -> float:
    """Read `count` records of all partitions from the start; returns records per second."""
    options = {"bootstrap.servers": servers, "group.id": "limit", "enable.auto.commit": False}
    # librdkafka's default of 1,000 ms stalls a fast consumer once its queue is full.
    consumer = Consumer({**options, "fetch.queue.backoff.ms": 10})
    consumer.assign([TopicPartition(TOUCHPOINTS, number, OFFSET_BEGINNING) for number in range(partitions)])
    customers: dict[str, Sessions] = {}
    done, began = 0, 0.0
    while done < count:
        messages = consumer.consume(BATCH_RECORDS, 0.05)
        if messages and not done:
            began = time.perf_counter()
        _process([message.value() or b"" for message in messages], customers)
        done += len(messages)
    seconds = time.perf_counter() - began
    consumer.close()
    return done / seconds


_decode = msgspec.json.Decoder(Touchpoint).decode


def _process(values: list[bytes], customers: dict[str, Sessions]) -> None:
    batch: dict[str, list[Touchpoint]] = {}
    for value in values:
        touchpoint = _decode(value)
        batch.setdefault(touchpoint.identifiers["customer_id"], []).append(touchpoint)
    for name, touchpoints in batch.items():
        sessions = customers.get(name)
        if sessions is None:
            sessions = customers[name] = Sessions()
        changed: dict[str, Session] = {}
        for touchpoint in touchpoints:
            sessions.feed(touchpoint, changed)
        for session in changed.values():
            _encode({"customer_id": name, "session": session})


if __name__ == "__main__":
    print(run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else COUNT))
