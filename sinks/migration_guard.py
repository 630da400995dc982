"""Says which statements of migrations would cost data that a server has: what they touch, in rows and bytes.

Only reads. What touches a table that is not there, or has no rows, is not dangerous, and neither is what is done to a
view: it holds none. A materialised view holds none either, but fills a table, which is looked at instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sinks.risky_changes import Change, normalise_type, read_changes
from sinks.sql_reading import read_tokens, shorten, table_places

Query = Callable[[str], Sequence[tuple[Any, ...]]]
"""Rows of the answer to a statement; raises what the driver raises."""

HOLD_NO_ROWS = frozenset({"View", "LiveView", "Distributed", "Dictionary"})
TABLES_SQL = """SELECT concat(database, '.', name), database, engine, total_rows, total_bytes,
    if(engine = 'MaterializedView', create_table_query, '')
FROM system.tables WHERE database NOT IN ('system', 'INFORMATION_SCHEMA', 'information_schema')"""
COLUMNS_SQL = """SELECT concat(database, '.', table), name, type, data_compressed_bytes
FROM system.columns WHERE database NOT IN ('system', 'INFORMATION_SCHEMA', 'information_schema')"""


@dataclass(frozen=True)
class Danger:
    """A statement that costs data: its migration's file, itself on one line, what it does, and to how much.

    `rows` is None where the server does not say how many there are.
    """

    name: str
    statement: str
    reason: str
    rows: int | None
    bytes: int | None

    def __str__(self) -> str:
        return f"{self.name}: {self.statement}: {self.reason}"


@dataclass(frozen=True)
class _Stored:
    database: str
    engine: str
    rows: int | None
    bytes: int | None
    fills: str = ""


class Guard:
    """What a server has, as it was when this was made."""

    def __init__(self, query: Query) -> None:
        self._tables = {
            name: _Stored(database, engine, rows, size, _filled_by(create))
            for name, database, engine, rows, size, create in query(TABLES_SQL)
        }
        self._columns = {(table, name): (kind, size) for table, name, kind, size in query(COLUMNS_SQL)}

    def dangers(self, name: str, statements: Iterable[str]) -> Iterator[Danger]:
        """Those of the migration in file `name`."""
        for statement in statements:
            for change in read_changes(statement):
                found = self._weigh(change)
                if found is not None:
                    reason, rows, size = found
                    yield Danger(name, shorten(statement), reason, rows, size)

    def _weigh(self, change: Change) -> tuple[str, int | None, int | None] | None:
        if not change.target:
            return change.what, None, None
        named = self._named(change.target)
        fills = {self._tables[name].fills for name in named} & self._tables.keys()
        stored = [self._tables[name] for name in named | fills]
        touched = [each for each in stored if each.rows != 0 and not each.fills and each.engine not in HOLD_NO_ROWS]
        if not touched or self._is_as_before(change):
            return None
        rows = _total(each.rows for each in touched)
        _, column_bytes = self._columns.get((change.target, change.column), ("", None))
        size = column_bytes if change.column else _total(each.bytes for each in touched)
        fill = next(iter(fills - named), "")
        return self._describe(change, fill, rows, size), rows, size

    def _named(self, target: str) -> set[str]:
        for name in (target, f"default.{target}"):
            if name in self._tables:
                return {name}
        return {name for name, each in self._tables.items() if each.database == target}

    def _is_as_before(self, change: Change) -> bool:
        now, _ = self._columns.get((change.target, change.column), ("", None))
        return bool(change.column) and (not now or normalise_type(now) == change.type)

    def _describe(self, change: Change, fills: str, rows: int | None, size: int | None) -> str:
        what = f"{change.what} {change.column}".rstrip()
        if change.type:
            what += f" ({self._columns[change.target, change.column][0]} now)"
        where = f"{change.target}, which fills {fills}" if fills else change.target
        amount = "an unknown number of rows" if rows is None else f"{rows:,} rows"
        return f"{what}: {where}: {amount}" + (f", {size:,} bytes" if size else "")


def _filled_by(create: str) -> str:
    """The table that a materialised view names after `TO`; empty if it has one of its own."""
    tokens = read_tokens(create)
    return next((name for at, name in table_places(tokens) if tokens[at - 1].word == "TO"), "")


def _total(numbers: Iterable[int | None]) -> int | None:
    known = list(numbers)
    return None if None in known else sum(each for each in known if each is not None)
