"""Dead letters and their replays, read from ClickHouse as the user who administers: only that one may see raw bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from console.letter_filters import DIVISIONS, Division, LetterFilters
from schemas.dead_letter import LetterId
from schemas.errors import Misconfigured
from schemas.moments import to_epoch_ms
from schemas.topics import FACTS
from sinks.letter_tables import DEAD_LETTER_REPLAYS
from sinks.writer import Writer

HEADS_SQL = """SELECT topic, partition, offset, reason, step, detail, raw_bytes, refused_at, arrived_at, replay_of,
       attempt, replays, replayed_at, replayed_by, refused_again_as, status
FROM analytics.dead_letters WHERE {condition} ORDER BY refused_at {order}, topic, partition, offset {limit}"""
COUNT_SQL = "SELECT status, count() FROM analytics.dead_letters WHERE {condition} GROUP BY status"
DIVIDED_SQL = """SELECT {what} AS name, count() AS letters, countIf(status = 'open') AS open,
       countIf(status = 'replayed') AS replayed, countIf(status = 'refused_again') AS refused_again,
       min(refused_at) AS first_refused_at, max(refused_at) AS last_refused_at
FROM analytics.dead_letters WHERE {condition} GROUP BY name ORDER BY {order}"""
BODIES_SQL = """SELECT topic, partition, offset, key, raw, headers, raw_hash
FROM journeys.dead_letters FINAL WHERE (topic, partition, offset) IN %(ids)s"""
REPLAYS_SQL = """SELECT attempt, by, to_topic, to_key, source, event_id, mapping, replayed_at
FROM journeys.dead_letter_replays FINAL
WHERE topic = %(topic)s AND partition = %(partition)s AND offset = %(offset)s AND raw_hash = %(raw_hash)s
ORDER BY replayed_at, attempt"""
REFUSED_SQL = """SELECT letter_id, attempt, reason, detail FROM analytics.dead_letters
WHERE replay_of = %(letter)s ORDER BY refused_at, letter_id"""
TOUCHPOINT_SQL = """SELECT customer_id, _topic, _partition, _offset FROM journeys.touchpoints FINAL
WHERE customer_id IN %(customers)s AND source = %(source)s AND event_id = %(event_id)s LIMIT 1"""
FACT_SQL = """SELECT '', _topic, _partition, _offset FROM journeys.facts FINAL
WHERE source = %(source)s AND event_id = %(event_id)s LIMIT 1"""


@dataclass(frozen=True)
class Head:
    """A letter without its bytes: a row of `analytics.dead_letters`."""

    id: LetterId
    reason: str
    step: str
    detail: str
    raw_bytes: int
    refused_at: datetime
    arrived_at: datetime
    replay_of: str
    attempt: int
    replays: int
    replayed_at: datetime | None
    replayed_by: str
    refused_again_as: str
    status: str


@dataclass(frozen=True)
class Letter:
    """A whole letter. `raw_hash` tells it from another that had the same id on a broker that was emptied."""

    head: Head
    key: bytes
    raw: bytes
    headers: Mapping[str, bytes]
    raw_hash: int


@dataclass(frozen=True)
class Replay:
    """One time that a letter was sent again, and what came of it."""

    attempt: int
    by: str
    to_topic: str
    to_key: str
    source: str
    event_id: str
    mapping: str
    replayed_at: datetime
    fate: str = ""


def find_heads(clickhouse: Writer, filters: LetterFilters, limit: int = 0, *, newest_first: bool = False) -> list[Head]:
    """The letters that are meant, in the order of their refusal. Raises `Misconfigured` for an id that none has."""
    heads = _query_heads(clickhouse, filters, "DESC" if newest_first else "ASC", f"LIMIT {limit}" if limit else "")
    if filters.ids:
        known = {head.id for head in _query_heads(clickhouse, LetterFilters(statuses=(), ids=filters.ids))}
        for letter in sorted(set(filters.ids) - known):
            raise Misconfigured(
                f"there is no dead letter {letter}: `journeys dead-letters list --status all` shows them"
            )
    return heads


def _query_heads(clickhouse: Writer, filters: LetterFilters, order: str = "ASC", limit: str = "") -> list[Head]:
    condition, asked = filters.condition()
    rows = clickhouse.query(HEADS_SQL.format(condition=condition, order=order, limit=limit), asked)
    return [Head(LetterId(*row[:3]), *row[3:]) for row in rows]


def count_letters(clickhouse: Writer, filters: LetterFilters) -> dict[str, int]:
    """How many letters are meant, by status."""
    condition, asked = filters.condition()
    return {str(status): int(count) for status, count in clickhouse.query(COUNT_SQL.format(condition=condition), asked)}


def divide(clickhouse: Writer, filters: LetterFilters, by: Division) -> list[tuple[Any, ...]]:
    """Rows (name, letters, open, replayed, refused again, first and last refusal); most frequent or oldest first."""
    condition, asked = filters.condition()
    order = "name" if by is Division.DAY else "letters DESC, name"
    return clickhouse.query(DIVIDED_SQL.format(what=DIVISIONS[by], condition=condition, order=order), asked)


def read_letters(clickhouse: Writer, heads: Sequence[Head]) -> list[Letter]:
    """The letters with their bytes, in the same order; one that is gone since is left out."""
    by_id = {}
    asked = {"ids": [tuple(head.id) for head in heads]}
    for rows in clickhouse.stream(BODIES_SQL, asked) if heads else ():
        for topic, partition, offset, key, raw, headers, raw_hash in rows:
            named = {name.decode("utf-8", "replace"): value for name, value in headers.items()}
            by_id[LetterId(topic.decode(), partition, offset)] = (key, raw, named, raw_hash)
    return [Letter(head, *by_id[head.id]) for head in heads if head.id in by_id]


def iterate_letters(clickhouse: Writer, heads: Sequence[Head], count: int) -> Iterator[list[Letter]]:
    """The same, so many at a time."""
    for start in range(0, len(heads), count):
        yield read_letters(clickhouse, heads[start : start + count])


def read_replays(clickhouse: Writer, letter: Letter) -> list[Replay]:
    """The times that a letter was sent again, oldest first, with what came of each."""
    asked = {**letter.head.id._asdict(), "raw_hash": letter.raw_hash}
    refused = {
        attempt: f"refused again as {name}: {reason}: {detail}"
        for name, attempt, reason, detail in clickhouse.query(REFUSED_SQL, {"letter": str(letter.head.id)})
    }
    found = []
    for row in clickhouse.query(REPLAYS_SQL, asked):
        sent = Replay(*row)
        found.append(replace(sent, fate=refused.get(sent.attempt) or _find_stored(clickhouse, sent)))
    return found


def _find_stored(clickhouse: Writer, replay: Replay) -> str:
    is_fact = replay.to_topic == FACTS
    customers = (replay.to_key, replay.to_key.removeprefix("customer_id:"))
    asked = {"source": replay.source, "event_id": replay.event_id, "customers": customers}
    rows = clickhouse.query(FACT_SQL if is_fact else TOUCHPOINT_SQL, asked)
    if not rows:
        return "not stored yet: a worker has yet to read it"
    customer, *place = rows[0]
    return f"stored, read from {LetterId(*place)}" + (f", customer {customer}" if customer else "")


def record_replays(clickhouse: Writer, letters: Iterable[tuple[Letter, Replay]]) -> None:
    """Write what was sent again; on return it is there. Writing it again changes nothing."""
    rows = [
        (
            *letter.head.id, letter.raw_hash, replay.attempt, replay.by, replay.to_topic, replay.to_key, replay.source,
            replay.event_id, replay.mapping, to_epoch_ms(replay.replayed_at),
        )
        for letter, replay in letters
    ]  # fmt: skip
    if rows:
        clickhouse.insert(DEAD_LETTER_REPLAYS, [list(column) for column in zip(*rows, strict=True)])
