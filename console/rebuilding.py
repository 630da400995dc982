"""Rebuilding: asking the workers to stitch customers anew from what ClickHouse holds, and waiting until they have."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from producers.emitters import Emitter
from schemas.errors import Misconfigured, Transient
from schemas.identifiers import customer_key
from schemas.topics import REBUILD_HEADER, REBUILD_VALUE
from sinks.writer import Writer

LOOK_EVERY_SECONDS = 0.5
SEND_SECONDS = 60.0
_CHOSEN = (
    "SELECT DISTINCT customer_id FROM journeys.touchpoints FINAL WHERE type != 'customers_merged' AND ({condition})"
)
_NOW = "SELECT toUnixTimestamp64Milli(now64(3))"
_DONE = """SELECT uniqExact(customer_id) FROM journeys.journeys
WHERE _ingested_at >= fromUnixTimestamp64Milli(toInt64(%(began_ms)s), 'UTC') AND NOT _is_deleted
AND customer_id IN ({chosen})"""

Tell = Callable[[int, int], object]
"""Told how many customers of how many are done."""


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
        if (bool(named), has_range, everybody).count(True) != 1:
            raise Misconfigured(
                "say whose journeys: --customer C-1, or --since and --until for all who were seen then, or --all"
            )
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
    """One run. Raises Transient or Terminal as ClickHouse and Kafka do."""

    def __init__(self, clickhouse: Writer, choice: Choice) -> None:
        self._clickhouse = clickhouse
        self._choice = choice
        self.asked = 0
        self._began_ms = 0

    def count(self) -> int:
        """How many customers are meant."""
        [(count,)] = self._clickhouse.query(f"SELECT count() FROM ({self._choice.sql})", self._choice.parameters)
        return int(count)

    def _names(self) -> Iterator[str]:
        for rows in self._clickhouse.stream(self._choice.sql, self._choice.parameters):
            for (name,) in rows:
                yield name.decode() if isinstance(name, bytes) else name

    def ask(self, emitter: Emitter) -> int:
        """Tell the workers of each customer; returns how many. Raises Transient when Kafka has not taken all of it."""
        [(self._began_ms,)] = self._clickhouse.query(_NOW)
        answers: list[object] = []
        for name in self._names():
            emitter.send(customer_key(name).encode(), REBUILD_VALUE, ((REBUILD_HEADER, b"1"),), answers.append)
            self.asked += 1
        emitter.flush(SEND_SECONDS)
        taken = answers.count(None)
        if taken < self.asked:
            why = next((f": {answer}" for answer in answers if answer is not None), "")
            raise Transient(f"Kafka has taken only {taken:,} of {self.asked:,} requests{why}; start again")
        return self.asked

    def done(self) -> int:
        """How many of them have been written anew since they were asked for."""
        sql = _DONE.format(chosen=self._choice.sql)
        [(count,)] = self._clickhouse.query(sql, {**self._choice.parameters, "began_ms": self._began_ms})
        return int(count)

    def wait(
        self,
        patience_seconds: float,
        tell: Tell,
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> int:
        """Wait until all are done, or nothing has moved for so long; returns how many are."""
        done, moved = 0, now()
        while (found := self.done()) < self.asked:
            if found > done:
                done, moved = found, now()
            tell(found, self.asked)
            if now() - moved >= patience_seconds:
                return found
            sleep(LOOK_EVERY_SECONDS)
        tell(self.asked, self.asked)
        return self.asked
