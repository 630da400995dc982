"""Rows for base tables: give what matters to the test, the rest is filled in."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sinks.tables import Table
from sinks.writer import Writer

NOW_MS = 1_795_000_000_000


def uuid(number: int) -> UUID:
    return UUID(int=number)


def columns(table: Table, rows: Sequence[Mapping[str, Any]]) -> list[list[Any]]:
    """Wire columns of `rows`, in the table's order."""
    known = set(table.columns)
    assert all(known >= set(row) for row in rows), [set(row) - known for row in rows]
    return [[row.get(name, _filler(name, kind)) for row in rows] for name, kind in table.wire]


def put(writer: Writer, table: Table, *rows: Mapping[str, Any]) -> None:
    """Insert rows, all in one part for each month."""
    writer.insert(table, columns(table, rows))


def _filler(name: str, kind: str) -> Any:
    if name in ("journey_id", "promise_id", "episode_id", "action_id"):
        return str(uuid(1))
    if name == "identifiers_json":
        return "{}"
    if name == "blob":
        return b""
    if name in ("occurred_at_ms", "received_at_ms", "started_at_ms", "ended_at_ms", "opened_at_ms"):
        return NOW_MS
    if kind.startswith("Map"):
        return {}
    return "" if kind == "String" else 0
