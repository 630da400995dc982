"""What a stretch of a topic holds against what the tables hold of it. The comparison runs in ClickHouse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sinks.writer import Beside, ClickHouseWriter

MOST_NAMED = 10
"""Of each kind of fault so many are named for an hour."""
CLOCK_MS = 60_000
"""A worker's clock may be so much behind the broker's."""
SEEN = Beside(
    "seen",
    (
        ("at_ms", "Int64"),
        ("record_offset", "UInt64"),
        ("customer", "String"),
        ("source", "String"),
        ("event", "String"),
    ),
)

_KEPT = """kept AS
(
    SELECT source, event_id, count() AS copies FROM journeys.touchpoints FINAL
    WHERE {narrowing} AND (source, event_id) IN (SELECT source, event FROM seen)
    GROUP BY source, event_id
)"""
_JUDGED = """letters AS
(
    SELECT offset, max(toUnixTimestamp64Milli(refused_at)) AS refused_ms FROM journeys.dead_letters
    WHERE topic = %(topic)s AND partition = %(partition)s AND offset IN (SELECT record_offset FROM seen)
    GROUP BY offset
),
judged AS
(
    SELECT s.at_ms AS at_ms, s.record_offset AS record_offset, s.source AS source, s.event AS event,
           k.copies AS copies, l.refused_ms >= s.at_ms - %(clock_ms)s AS is_refused
    FROM seen AS s
    LEFT ANY JOIN kept AS k ON s.source = k.source AND s.event = k.event_id
    LEFT ANY JOIN letters AS l ON s.record_offset = l.offset
)"""
BY_HOUR = f"""WITH {_KEPT.format(narrowing="customer_id IN (SELECT customer FROM seen)")}, {_JUDGED}
SELECT toStartOfHour(fromUnixTimestamp64Milli(at_ms, 'UTC')) AS hour, count(), countIf(copies = 0 AND is_refused),
       countIf(copies > 0) - uniqExactIf((source, event), copies > 0),
       groupArrayIf((record_offset, source, event), copies = 0 AND NOT is_refused),
       groupUniqArrayIf(%(most_named)s)((source, event), copies > 1), uniqExactIf((source, event), copies > 1)
FROM judged GROUP BY hour ORDER BY hour SETTINGS join_use_nulls = 0"""
ELSEWHERE = f"""WITH {_KEPT.format(narrowing="1")} SELECT source, event_id FROM kept"""
STRANGE = """SELECT toStartOfHour(received_at) AS hour, source, event_id FROM journeys.touchpoints FINAL
WHERE _topic = %(topic)s AND _partition = %(partition)s AND _offset BETWEEN %(first)s AND %(last)s
  AND toUnixTimestamp64Milli(received_at) BETWEEN %(first_ms)s AND %(last_ms)s
  AND (source, event_id) NOT IN (SELECT source, event FROM seen)"""


class SeenRecord(NamedTuple):
    """One record of a topic. `at_ms`: when it came. Who and what are empty where it has no identity."""

    at_ms: int
    offset: int
    customer: str
    source: str
    event_id: str


@dataclass
class HourFound:
    """What one hour of one partition came to; an hour may come in several stretches.

    `repeats` are records of touchpoints that other records have brought already. `missing` are records that are neither
    touchpoints nor refused, `doubled` touchpoints that are there twice, `strange` ones that no record has brought; of
    each some are named, missing ones as `offset source/event_id`.
    """

    topic: str
    partition: int
    hour: datetime
    records: int = 0
    refused: int = 0
    repeats: int = 0
    missing: int = 0
    doubled: int = 0
    strange: int = 0
    named: tuple[str, ...] = ()

    @property
    def is_right(self) -> bool:
        """Whether nothing is missing, doubled or strange."""
        return not (self.missing or self.doubled or self.strange)

    def add(self, other: HourFound) -> None:
        """Take another stretch of the same hour in."""
        self.records += other.records
        self.refused += other.refused
        self.repeats += other.repeats
        self.missing += other.missing
        self.doubled += other.doubled
        self.strange += other.strange
        self.named = (*self.named, *other.named)[: 3 * MOST_NAMED]


def compare(clickhouse: ClickHouseWriter, topic: str, partition: int, records: Sequence[SeenRecord]) -> list[HourFound]:
    """Hours of one stretch of a partition, whose offsets rise and which the worker has committed.

    A touchpoint counts as there once its source and event id are, whoever it belongs to by now. Doubled ones are found
    among one customer's. Raises Transient or Terminal.
    """
    if not records:
        return []
    names = [name for name, _ in SEEN.columns]
    rows = [dict(zip(names, record, strict=True)) for record in records]
    times = [record.at_ms for record in records]
    parameters = {
        "topic": topic, "partition": partition, "first": records[0].offset, "last": records[-1].offset,
        "first_ms": min(times), "last_ms": max(times), "clock_ms": CLOCK_MS, "most_named": MOST_NAMED,
    }  # fmt: skip
    found = {}
    for hour, count, refused, repeats, missing, doubles, doubled in clickhouse.query_beside(
        BY_HOUR, parameters, SEEN, rows
    ):
        lost = _not_elsewhere(clickhouse, missing)
        named = [f"missing {offset} {source}/{event}" for offset, source, event in lost[:MOST_NAMED]]
        named += [f"doubled {source}/{event}" for source, event in doubles]
        found[hour] = HourFound(topic, partition, hour, count, refused, repeats, len(lost), doubled, named=tuple(named))
    for hour, source, event in clickhouse.query_beside(STRANGE, parameters, SEEN, rows):
        one = HourFound(topic, partition, hour, strange=1, named=(f"strange {source}/{event}",))
        found.setdefault(hour, HourFound(topic, partition, hour)).add(one)
    return [found[hour] for hour in sorted(found)]


def _not_elsewhere(clickhouse: ClickHouseWriter, missing: Sequence[tuple[int, str, str]]) -> list[tuple[int, str, str]]:
    """Those whose touchpoint is not there under another customer either."""
    asked = [
        {"at_ms": 0, "record_offset": offset, "customer": "", "source": source, "event": event}
        for offset, source, event in missing
        if event
    ]
    kept = set(clickhouse.query_beside(ELSEWHERE, {}, SEEN, asked)) if asked else set()
    return [each for each in missing if each[1:] not in kept]
