"""The proof: every text column of every base table is read once more, and what still names the customer is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from console.forgetting_letters import WANTED, rows_beside, text_condition
from console.forgetting_names import Needles
from console.forgetting_tables import BaseTable
from schemas.errors import JourneysError
from sinks.writer import ClickHouseWriter

TEXT_TYPES = ("String", "Enum", "JSON", "Dynamic", "Variant")
PLAIN_TYPES = ("String", "LowCardinality(String)")
SYSTEM_LOGS_SQL = """SELECT table, name FROM system.columns
WHERE database = 'system' AND table IN ('query_log', 'query_thread_log', 'query_views_log', 'text_log')
AND name IN ('query', 'view_query', 'message')"""


def text_columns(table: BaseTable) -> list[str]:
    """The columns of a table in which a name may stand."""
    return [name for name, kind in table.columns.items() if any(each in kind for each in TEXT_TYPES)]


def scan_table(clickhouse: ClickHouseWriter, table: BaseTable, needles: Needles) -> dict[str, int]:
    """How many rows of a table still name the customer, by column; empty when none does."""
    found: Counter[str] = Counter()
    columns = text_columns(table)
    if not columns or not needles.texts:
        return {}
    conditions = [_condition(table, column) for column in columns]
    counts = ", ".join(f"countIf({condition})" for condition in conditions)
    # Only the columns of rows that are meant at all are looked at a second time.
    sql = f"SELECT {counts} FROM {table.quoted} WHERE {' OR '.join(f'({each})' for each in conditions)}"
    for some in needles.batches():
        names = [{"text": name, "pattern": some.pattern} for name in sorted(some.names)]
        [row] = clickhouse.query_beside(sql, {}, WANTED, [*rows_beside(some), *names])
        found.update(dict(zip(columns, row, strict=True)))
    return {column: count for column, count in found.items() if count}


def _condition(table: BaseTable, column: str) -> str:
    kind = table.columns[column]
    text = f"`{column}`" if kind in PLAIN_TYPES else f"ifNull(toString(`{column}`), '')"
    named = f"{text} IN (SELECT text FROM wanted) OR " if column in table.identity_columns else ""
    return f"{named}({text_condition(text)})"


def scan_tables(clickhouse: ClickHouseWriter, tables: Iterable[BaseTable], needles: Needles) -> dict[str, int]:
    """Rows that are left, by `table.column`."""
    return {
        f"{table.name}.{column}": count
        for table in tables
        for column, count in scan_table(clickhouse, table, needles).items()
    }


def count_system_logs(clickhouse: ClickHouseWriter, needles: Needles) -> dict[str, int | None]:
    """Lines of the server's own logs in tables that name the customer, by table; None where we may not look."""
    try:
        logs: Sequence[tuple[str, str]] = [(row[0], row[1]) for row in clickhouse.query(SYSTEM_LOGS_SQL)]
    except JourneysError:
        return {"system.*_log": None}
    found: dict[str, int | None] = {}
    for table, column in logs:
        sql = f"SELECT count() FROM system.`{table}` WHERE {text_condition(f'`{column}`')}"
        try:
            counts = [clickhouse.query_beside(sql, {}, WANTED, rows_beside(some))[0][0] for some in needles.batches()]
            found[f"system.{table}"] = sum(counts)
        except JourneysError:
            found[f"system.{table}"] = None
    return {table: count for table, count in found.items() if count != 0}
