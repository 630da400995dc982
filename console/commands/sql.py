"""`journeys sql`: a question to ClickHouse."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from difflib import get_close_matches
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, TextIO
from zoneinfo import ZoneInfo

import typer
from clickhouse_driver import Client
from rich.console import Console
from rich.text import Text
from typer.core import TyperCommand

from console.invocation import Invocation, make_console
from console.sql_parameters import TAKES_SQL, find_unheeded, has_calls, parameters_of
from console.sql_results import (
    Columns,
    Row,
    with_truths,
    write_csv,
    write_json,
    write_ndjson,
    write_paged_table,
    write_table,
)
from deploy.services import Warehouse, clickhouse_client_options
from schemas.errors import JourneysError, Misconfigured, Terminal
from schemas.text_files import read_text
from sinks.connection import WRONG_SCHEMA, classify, connect

DEFAULT_LIMIT = 500
HISTORY = "sql_history"
BLOCK_ROWS = 4_096
ACCESS_DENIED = 497
UNKNOWN_TABLE = 60
_TAKES = "the comment of a view says what it takes (docs/data-dictionary.md), and all of that has to be given"
HINTS = {
    r"[Cc]annot (be parsed as|convert string .* to type|parse time component of) Date": (
        "in SQL, write times in UTC and without a zone, as in '2026-11-29 12:00:00'"
    ),
    r"Substitution .* is not set|parameterized view|Empty list of columns in projection": _TAKES,
}
"""What helps by what the server says of it."""
VIEWS_SQL = "SELECT name FROM system.tables WHERE database = 'analytics' ORDER BY name"
EPILOG = """Examples:

journeys sql "SELECT rule, count() FROM analytics.alerts GROUP BY rule"

journeys sql "SELECT * FROM analytics.journeys" --format csv > journeys.csv

journeys sql --file question.sql --format json

journeys sql "SELECT * FROM analytics.touchpoints" --format parquet > touchpoints.parquet

journeys sql

echo "SHOW TABLES FROM analytics" | journeys sql -"""


class Output(StrEnum):
    """How results are printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    NDJSON = "ndjson"
    PARQUET = "parquet"


class Role(StrEnum):
    """As whom the question is asked."""

    ANALYST = "analyst"
    ADMIN = "admin"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("sql", cls=_SqlCommand, epilog=EPILOG)(sql)


class _SqlCommand(TyperCommand):
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, guard_comments(args))


def guard_comments(arguments: Sequence[str]) -> list[str]:
    """The arguments, with a space before SQL that begins with a comment (`-- why`), so that it is no option."""
    return [f" {each}" if _COMMENTED.match(each) else each for each in arguments]


# No option has white space before its value, or a line break in it.
_COMMENTED = re.compile(r"--([^\s=]*\s|.*\n)")


def sql(
    context: typer.Context,
    query: Annotated[str | None, typer.Argument(metavar="[SQL|-]", help="The statement; - reads it from stdin")] = None,
    output: Annotated[Output, typer.Option("--format", "-f", help="How to print the rows")] = Output.TABLE,
    file: Annotated[Path | None, typer.Option("--file", metavar="FILE", help="Read the statement from a file")] = None,
    role: Annotated[
        Role, typer.Option("--as", help="analyst reads the database analytics; admin may do everything")
    ] = Role.ANALYST,
    limit: Annotated[
        int | None,
        typer.Option(min=0, help=rf"Rows to show, 0 for all  \[default: {DEFAULT_LIMIT} in a table, otherwise all]"),
    ] = None,
) -> None:
    """Ask ClickHouse, by default as the read-only analyst, and print the rows. Without a statement, at a prompt.

    Times in JSON are ISO 8601. Cells of CSV that a spreadsheet would run as a formula get a leading apostrophe.
    """
    is_prompt = query is None and file is None and sys.stdin.isatty() and sys.stdout.isatty()
    statement = "" if is_prompt else _read_statement(query, file)
    if output is Output.PARQUET and sys.stdout.isatty():
        raise Misconfigured("Parquet is no text: write it to a file, --format parquet > rows.parquet")
    settings = Invocation.of(context).settings()
    warehouse = Warehouse.resolve(settings)
    url = warehouse.analyst_url if role is Role.ANALYST else warehouse.clickhouse_url
    with closing(_Question(connect(clickhouse_client_options(url, settings)))) as question:
        if is_prompt:
            _converse(question, output, limit, settings.data_dir)
            return
        _warn(question, statement, make_console(stderr=True))
        columns, rows = question.ask(statement)
        _write(output, columns, rows, limit)


def _converse(question: _Question, output: Output, limit: int | None, data_dir: Path) -> None:
    """Ask what is typed until whoever types it leaves; an error ends nothing."""
    # It brings a library along that no other command needs.
    from console.sql_prompt import NAMES_SQL, Names, read_statements

    names = Names.of(question.rows(NAMES_SQL))
    console = make_console()
    history = data_dir / HISTORY if data_dir.is_dir() else None
    for statement in read_statements(names, history, lambda text: console.print(Text(text, style="dim"))):
        try:
            _warn(question, statement, console)
            columns, rows = question.ask(statement)
            _write(output, columns, rows, limit, is_paged=True)
        except JourneysError as error:
            console.print(Text(str(error), style="red"))
        except KeyboardInterrupt:
            question.close()
            console.print(Text("stopped", style="dim"))


def _warn(question: _Question, statement: str, console: Console) -> None:
    """Say which parameters the server will pass over; what it gives would look as if it had heeded them."""
    if not has_calls(statement):
        return
    with suppress(JourneysError):
        takes = {str(name): parameters_of(str(create_sql)) for name, create_sql in question.rows(TAKES_SQL)}
        for line in find_unheeded(statement, takes):
            console.print(Text(f"warning: {line}", style="yellow"), soft_wrap=True)


def _read_statement(query: str | None, file: Path | None) -> str:
    if (query is None) == (file is None):
        raise Misconfigured('give one statement: journeys sql "SELECT …", --file FILE, or - for standard input')
    text = read_text(file) if file is not None else sys.stdin.read() if query == "-" else query or ""
    statement = text.strip().rstrip(";").strip()
    if not statement:
        raise Misconfigured("the statement is empty")
    return statement


def explain(error: Exception) -> JourneysError:
    """The error for whoever typed the statement: what is wrong, without the whole grammar and without our stack."""
    if getattr(error, "code", None) == ACCESS_DENIED:
        return Terminal("this user may not do that: the analyst reads analytics.* only, --as admin may do everything")
    found = classify(error)
    # A typing error is likelier than a schema that was not migrated, and the worker would say so.
    said = str(found).removesuffix(f": {WRONG_SCHEMA}")
    said = re.split(r"\. (?:Expected one of|Maybe you meant: \[\])", said)[0]
    hint = next((hint for sign, hint in HINTS.items() if re.search(sign, said)), "")
    return type(found)(f"{said}: {hint}" if hint else said)


def meant_views(statement: str, views: Sequence[str]) -> list[str]:
    """The `analytics.…` views that a statement may have meant by its other tables, in its order; text is no table."""
    tables = _TABLE.findall(_TEXT.sub("''", statement))
    found = [get_close_matches(name, views, n=1) for database, name in tables if database != "analytics"]
    return list(dict.fromkeys(f"analytics.{near[0]}" for near in found if near))


_TEXT = re.compile(r"'(?:[^'\\]|\\.)*'")
_TABLE = re.compile(r"\b(?:FROM|JOIN)\s+(?:(\w+)\.)?(\w+)", re.IGNORECASE)


class _Question:
    """One statement on one connection; every error is one of ours, with one line."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def ask(self, statement: str) -> tuple[Columns, Iterator[Row]]:
        """The result's columns, none for a statement without one, and its rows as they come."""
        try:
            found = self._client.execute_iter(
                statement, with_column_types=True, settings={"max_block_size": BLOCK_ROWS}
            )
            head: list[tuple[str, str]] = next(iter(found), [])
        except Exception as error:
            raise self._explain(error, statement) from error
        names, kinds = zip(*head, strict=True) if head else ((), ())
        columns = Columns(tuple(names), tuple(kinds), self._zone())
        return columns, with_truths(columns, self._rows(found))

    def rows(self, sql: str) -> list[Any]:
        """All rows of the answer to a question of ours."""
        try:
            return list(self._client.execute(sql))
        except Exception as error:
            raise explain(error) from error

    def close(self) -> None:
        """Let go of the connection; the next question opens another."""
        self._client.disconnect()

    def _rows(self, found: Iterator[Any]) -> Iterator[Row]:
        try:
            yield from found
        except Exception as error:
            raise explain(error) from error

    def _explain(self, error: Exception, statement: str) -> JourneysError:
        """The error, and for a name that is almost a view of analysts, that view."""
        found = explain(error)
        if getattr(error, "code", None) not in (ACCESS_DENIED, UNKNOWN_TABLE):
            return found
        try:
            views = [str(name) for (name,) in self._client.execute(VIEWS_SQL)]
        except Exception:
            # The hint is not worth an error of its own.
            return found
        meant = [name for name in meant_views(statement, views) if name not in str(found)]
        return type(found)(f"{found}: did you mean {' and '.join(meant)}?") if meant else found

    def _zone(self) -> ZoneInfo:
        server = self._client.connection.server_info
        return ZoneInfo((server.timezone if server else None) or "UTC")


def _write(output: Output, columns: Columns, rows: Iterator[Row], limit: int | None, *, is_paged: bool = False) -> None:
    console = make_console()
    if not columns.names:
        for _ in rows:
            pass
        console.print("done")
        return
    if output is Output.TABLE:
        shown = (DEFAULT_LIMIT if limit is None else limit) or None
        if is_paged:
            write_paged_table(console, columns, rows, shown)
        else:
            write_table(console, columns, rows, shown)
        return
    # The first row is awaited before anything is written: most errors come before it.
    first = next(rows, None)
    rows = chain(() if first is None else (first,), rows)
    write = WRITERS[output]
    if limit:
        counted = _Limited(rows, limit)
        write(sys.stdout, columns, iter(counted))
        if counted.left:
            make_console(stderr=True).print(Text(f"{counted.left:,} more rows are not shown (--limit {limit})"))
        return
    write(sys.stdout, columns, rows)


def _write_parquet(out: TextIO, columns: Columns, rows: Iterator[Row]) -> None:
    # It is large, and nobody else needs it.
    from console.parquet import write_parquet

    write_parquet(out.buffer, columns, rows)


WRITERS: dict[Output, Callable[[TextIO, Columns, Iterator[Row]], None]] = {
    Output.CSV: write_csv,
    Output.JSON: write_json,
    Output.NDJSON: write_ndjson,
    Output.PARQUET: _write_parquet,
}


class _Limited:
    """The first rows of an iterator, and then how many were left."""

    def __init__(self, rows: Iterator[Row], limit: int) -> None:
        self._rows = rows
        self._limit = limit
        self.left = 0

    def __iter__(self) -> Iterator[Row]:
        for number, row in enumerate(self._rows):
            if number < self._limit:
                yield row
            else:
                self.left += 1
