"""Free text that speaks of a customer, in refused records and notes: found by what it says, erased by its place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from console.forgetting_names import Needles
from sinks.writer import Beside, ClickHouseWriter

WANTED = Beside("wanted", (("text", "String"), ("pattern", "String")))
LETTERS_SQL = """SELECT DISTINCT topic, partition, offset, raw_hash FROM journeys.dead_letters
WHERE {condition}"""
NOTES_SQL = "SELECT DISTINCT toString(action_id) FROM journeys.alert_actions WHERE {condition}"
SEARCHED = ("key", "raw", "detail", "toString(headers)")
PER_STATEMENT = 1_000


@dataclass(frozen=True)
class Letters:
    """Refused records as (topic, partition, offset, hash of the bytes)."""

    places: tuple[tuple[str, int, int, int], ...] = ()

    def conditions(self) -> Iterator[str]:
        """Conditions that pick them, and their replays."""
        texts = [
            f"('{topic}', {partition}, {offset}, {raw_hash})" for topic, partition, offset, raw_hash in self.places
        ]
        yield from among("topic, partition, offset, raw_hash", texts)


def among(columns: str, texts: Sequence[str]) -> Iterator[str]:
    """Conditions that pick the rows with one of these tuples in these columns, some of them each."""
    for start in range(0, len(texts), PER_STATEMENT):
        yield f"({columns}) IN ({', '.join(texts[start : start + PER_STATEMENT])})"


def text_condition(expression: str) -> str:
    """Whether a text has one of the identifiers that `rows_beside` brings along in it."""
    # A pattern's "anything but a letter" does not match a byte that is no UTF-8, of which packed state is full.
    return (
        f"multiSearchAnyCaseInsensitive({expression}, (SELECT groupArray(text) FROM wanted)) "
        f"AND match(toValidUTF8({expression}), (SELECT max(pattern) FROM wanted))"
    )


def rows_beside(needles: Needles) -> list[dict[str, str]]:
    """The rows of `WANTED` for one batch of identifiers."""
    return [{"text": text, "pattern": needles.pattern} for text in needles.texts]


def find_rows(clickhouse: ClickHouseWriter, sql: str, needles: Needles) -> set[tuple[Any, ...]]:
    """What a question finds that looks for identifiers by `text_condition`."""
    return {row for some in needles.batches() for row in clickhouse.query_beside(sql, {}, WANTED, rows_beside(some))}


def find_letters(clickhouse: ClickHouseWriter, needles: Needles) -> Letters:
    """All refused records with one of the identifiers in key, bytes, headers or reason."""
    sql = LETTERS_SQL.format(condition=" OR ".join(f"({text_condition(each)})" for each in SEARCHED))
    return Letters(tuple(sorted(find_rows(clickhouse, sql, needles))))


def find_notes(clickhouse: ClickHouseWriter, needles: Needles) -> frozenset[str]:
    """The actions, on whosever alerts, with one of the identifiers in their notes."""
    sql = NOTES_SQL.format(condition=text_condition("note"))
    return frozenset(row[0] for row in find_rows(clickhouse, sql, needles))
