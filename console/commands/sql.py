"""`journeys sql`: a question to ClickHouse."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from difflib import get_close_matches
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer
from clickhouse_driver import Client
from rich.text import Text
from typer.core import TyperCommand

from console.invocation import Invocation, make_console
from console.sql_results import Columns, Row, with_truths, write_csv, write_json, write_ndjson, write_table
from deploy.services import Services, clickhouse_client_options
from schemas.errors import JourneysError, Misconfigured, Terminal
from sinks.connection import WRONG_SCHEMA, classify, connect

DEFAULT_LIMIT = 500
BLOCK_ROWS = 4_096
ACCESS_DENIED = 497
UNKNOWN_TABLE = 60
VIEWS_SQL = "SELECT name FROM system.tables WHERE database = 'analytics' ORDER BY name"
EPILOG = """Examples:

journeys sql "SELECT rule, count() FROM analytics.alerts GROUP BY rule"

journeys sql "SELECT * FROM analytics.journeys" --format csv > journeys.csv

journeys sql --file question.sql --format json

echo "SHOW TABLES FROM analytics" | journeys sql -"""


class Output(StrEnum):
    """How results are printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    NDJSON = "ndjson"


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
    """Ask ClickHouse, by default as the read-only analyst, and print the rows.

    Times in JSON are ISO 8601. Cells of CSV that a spreadsheet would run as a formula get a leading apostrophe.
    """
    statement = _read_statement(query, file)
    settings = Invocation.of(context).settings()
    services = Services.resolve(settings)
    url = services.analyst_url if role is Role.ANALYST else services.clickhouse_url
    with closing(_Question(connect(clickhouse_client_options(url, settings)))) as question:
        columns, rows = question.ask(statement)
        _write(output, columns, rows, limit)


def _read_statement(query: str | None, file: Path | None) -> str:
    if (query is None) == (file is None):
        raise Misconfigured('give one statement: journeys sql "SELECT …", --file FILE, or - for standard input')
    if file is not None:
        try:
            text = file.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise Misconfigured(f"{file}: cannot be read: {error}") from error
    else:
        text = sys.stdin.read() if query == "-" else query or ""
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
    return type(found)(re.split(r"\. (?:Expected one of|Maybe you meant: \[\])", said)[0])


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

    def close(self) -> None:
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


def _write(output: Output, columns: Columns, rows: Iterator[Row], limit: int | None) -> None:
    console = make_console()
    if not columns.names:
        for _ in rows:
            pass
        console.print("done")
        return
    if output is Output.TABLE:
        write_table(console, columns, rows, (DEFAULT_LIMIT if limit is None else limit) or None)
        return
    # The first row is awaited before anything is written: most errors come before it.
    first = next(rows, None)
    rows = chain(() if first is None else (first,), rows)
    write = {Output.CSV: write_csv, Output.JSON: write_json, Output.NDJSON: write_ndjson}[output]
    if limit:
        counted = _Limited(rows, limit)
        write(sys.stdout, columns, iter(counted))
        if counted.left:
            make_console(stderr=True).print(Text(f"{counted.left:,} more rows are not shown (--limit {limit})"))
        return
    write(sys.stdout, columns, rows)


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
