"""Rebuilding: asking the workers to stitch customers anew from what ClickHouse holds, and waiting until they have."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from console.forgetting_topics import Record, send
from console.forgetting_workers import have_passed
from schemas.errors import Misconfigured
from schemas.identifiers import customer_key
from schemas.partitioning import partition_of
from schemas.topics import TOUCHPOINTS_REKEYED
from sinks.writer import Writer
from streams.customer import NEVER_MS
from streams.identity.sending import tell_rebuild

BATCH_CUSTOMERS = 5_000
"""So many are asked for at once: what is asked for but not done waits in the workers' memory."""
LOOK_EVERY_SECONDS = 0.5
_CHOSEN = """SELECT DISTINCT customer_id FROM journeys.touchpoints FINAL
WHERE type != 'customers_merged' AND ({condition})"""
_BUSY = f"""SELECT uniqExact(customer_key) FROM journeys.customer_state FINAL
WHERE customer_key IN (SELECT name FROM asked) AND segment = 0 AND next_due_ms = {NEVER_MS}"""

Tell = Callable[[int, int], object]
"""Told how many customers of how many are done."""
Send = Callable[[Sequence[str]], Mapping[int, int]]
"""Asks the workers for customers by their record keys; returns the last offset in each partition."""


@dataclass(frozen=True)
class Choice:
    """Whose journeys are to be rebuilt: those of which this SQL condition on touchpoints holds."""

    condition: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, customers: Iterable[str], since_ms: int | None, until_ms: int | None, *, everybody: bool) -> Choice:
        """One of: customers by name, those with a touchpoint in a range of time, all. Raises `Misconfigured`."""
        named = tuple(customers)
        has_range = since_ms is not None or until_ms is not None
        ways = (bool(named), has_range, everybody).count(True)
        if ways > 1:
            raise Misconfigured(
                "give only one of --customer, --since with --until, and --all: each says whose journeys"
            )
        if not ways:
            raise Misconfigured(
                "say whose journeys: --customer C-1, or --since and --until for all who were seen then, or --all"
            )
        if since_ms is not None and until_ms is not None and since_ms >= until_ms:
            raise Misconfigured("--since must lie before --until")
        if named:
            return cls("customer_id IN %(customers)s", {"customers": named})
        if everybody:
            return cls("1")
        return cls(
            "occurred_at >= fromUnixTimestamp64Milli(toInt64(%(since_ms)s), 'UTC') AND "
            "occurred_at < fromUnixTimestamp64Milli(toInt64(%(until_ms)s), 'UTC')",
            {"since_ms": since_ms or 0, "until_ms": until_ms if until_ms is not None else 2**53 // 1000},
        )

    @property
    def sql(self) -> str:
        """The customers whom it means."""
        return _CHOSEN.format(condition=self.condition)


class Rebuilding:
    """One run, batch after batch. Raises Transient or Terminal as ClickHouse and Kafka do."""

    def __init__(
        self,
        clickhouse: Writer,
        group: str,
        choice: Choice,
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._clickhouse = clickhouse
        self._group = group
        self._choice = choice
        self._now = now
        self._sleep = sleep

    def choose(self) -> list[str]:
        """The record keys of the customers who are meant."""
        rows = chain.from_iterable(self._clickhouse.stream(self._choice.sql, self._choice.parameters))
        return sorted(customer_key(name.decode()) for (name,) in rows)

    def run(self, keys: Sequence[str], send: Send, patience_seconds: float, tell: Tell) -> int:
        """Have them rebuilt, until nothing has moved for so long; returns how many were.

        A customer is rebuilt when the worker's flushed position is past the request, and the stored state has nothing
        left to do.
        """
        done = 0
        while batch := keys[done : done + BATCH_CUSTOMERS]:
            offsets = send(batch)
            left, moved = len(batch), self._now()
            while left and self._now() - moved < patience_seconds:
                tell(done + len(batch) - left, len(keys))
                self._sleep(LOOK_EVERY_SECONDS)
                found = self._count_left(batch, offsets)
                if found < left:
                    left, moved = found, self._now()
            done += len(batch) - left
            if left:
                break
        tell(done, len(keys))
        return done

    def _count_left(self, batch: Sequence[str], offsets: Mapping[int, int]) -> int:
        if not have_passed(self._clickhouse, self._group, TOUCHPOINTS_REKEYED, offsets):
            return len(batch)
        [(busy,)] = chain.from_iterable(self._clickhouse.stream_about(_BUSY, batch))
        return int(busy)


def request(options: Mapping[str, Any], partitions: int, keys: Sequence[str]) -> dict[int, int]:
    """Ask the workers for customers; returns the last offset in each partition. Raises Transient."""
    records = [
        Record(each.topic, partition_of(each.key, partitions), each.key, each.value, each.headers)
        for each in map(tell_rebuild, keys)
    ]
    sent = send(options, records, "all requests, which may be sent again")
    return {partition: offset for (_, partition), offset in sent.items()}
