"""`journeys dead-letters`: what was refused and why, one letter in full, and sending them again."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from enum import StrEnum
from typing import Annotated

import typer
from rich.text import Text

from console.alert_desk import read_clock
from console.commands import dead_letters_replay
from console.invocation import Invocation, make_wide_console, open_clickhouse
from console.letter_filters import REPLAYED, WAITING, Division, LetterFilters, Status, make_filters
from console.letter_store import count_letters, divide, find_heads, iterate_letters, read_letters, read_replays
from console.letter_views import (
    COLUMNS,
    DIVIDED_COLUMNS,
    DIVIDED_KINDS,
    list_note,
    make_detail,
    make_list,
    record_of,
    replay_lines,
    row_of,
    show_record,
    to_json,
)
from console.sql_results import Columns, make_table, write_array, write_csv
from deploy.services import Warehouse
from sinks.writer import ClickHouseWriter

DEFAULT_LIMIT = 50
BATCH_LETTERS = 500
EPILOG = """Examples:

journeys dead-letters list --by reason

journeys dead-letters show touchpoints-0-42

journeys dead-letters replay --reason missing_field --map mend.yaml --dry-run"""
LIST_EPILOG = """Examples:

journeys dead-letters list --since 2h

journeys dead-letters list --by day --status all

journeys dead-letters list --reason invalid_json --contains '"source": "pos"'

journeys dead-letters list --status refused-again --limit 0 --format csv > letters.csv"""
SHOW_EPILOG = """Examples:

journeys dead-letters show touchpoints-0-42

journeys dead-letters show touchpoints-0-42 --json | python -m json.tool"""


class Format(StrEnum):
    """How letters are printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def register(app: typer.Typer) -> None:
    """Add the command and its parts."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")
    group.command("list", epilog=LIST_EPILOG)(list_command)
    group.command("show", epilog=SHOW_EPILOG)(show)
    dead_letters_replay.register(group)
    app.add_typer(group, name="dead-letters", epilog=EPILOG, help="Look at refused input, and send it again.")


def list_command(
    context: typer.Context,
    reason: dead_letters_replay.Reasons = None,
    source_topic: dead_letters_replay.Topics = None,
    since: dead_letters_replay.Since = None,
    until: dead_letters_replay.Until = None,
    key: dead_letters_replay.Key = None,
    contains: dead_letters_replay.Contains = None,
    status: Annotated[
        list[Status] | None, typer.Option(help="Only with this status (default: open and refused-again)")
    ] = None,
    by: Annotated[Division | None, typer.Option(help="Count them by this instead of listing them")] = None,
    limit: Annotated[int, typer.Option(min=0, help="Letters to show, the newest first; 0 for all")] = DEFAULT_LIMIT,
    output: Annotated[Format, typer.Option("--format", "-f", help="How to print them")] = Format.TABLE,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json")] = False,
) -> None:
    """List refused records, the newest first, without those that have been sent again.

    Several values of one option mean any of them. JSON and CSV hold all there is, also the records' bytes; whatever a
    terminal would act on is escaped in each format.
    """
    filters = make_filters(
        read_clock(), reasons=reason or (), topics=source_topic or (), status=status or (), key=key, contains=contains,
        since=since, until=until,
    )  # fmt: skip
    chosen = Format.JSON if as_json else output
    with _clickhouse(context) as clickhouse:
        if by is not None:
            _print_divided(clickhouse, filters, by, chosen)
        elif chosen is Format.TABLE:
            _print_list(clickhouse, filters, limit)
        else:
            _write(clickhouse, filters, limit, chosen)


@contextmanager
def _clickhouse(context: typer.Context) -> Iterator[ClickHouseWriter]:
    settings = Invocation.of(context).settings()
    with closing(open_clickhouse(Warehouse.resolve(settings), settings)) as clickhouse:
        yield clickhouse


def _print_list(clickhouse: ClickHouseWriter, filters: LetterFilters, limit: int) -> None:
    heads = find_heads(clickhouse, filters, limit, newest_first=True)
    counts = count_letters(clickhouse, replace(filters, statuses=()))
    console = make_wide_console()
    if heads:
        console.print(make_list(read_letters(clickhouse, heads)))
    meant = {status: count for status, count in counts.items() if not filters.statuses or status in filters.statuses}
    hidden = counts.get(REPLAYED, 0) if filters.statuses == WAITING else 0
    console.print(Text(list_note(len(heads), meant, hidden), style="dim"))


def _write(clickhouse: ClickHouseWriter, filters: LetterFilters, limit: int, output: Format) -> None:
    heads = find_heads(clickhouse, filters, limit, newest_first=True)
    letters = (letter for batch in iterate_letters(clickhouse, heads, BATCH_LETTERS) for letter in batch)
    if output is Format.CSV:
        write_csv(sys.stdout, COLUMNS, (row_of(letter) for letter in letters))
        return
    write_array(sys.stdout, (to_json(record_of(letter)) for letter in letters))


def _print_divided(clickhouse: ClickHouseWriter, filters: LetterFilters, by: Division, output: Format) -> None:
    rows = divide(clickhouse, filters, by)
    columns = Columns((by.value, *DIVIDED_COLUMNS), DIVIDED_KINDS)
    if output is Format.CSV:
        write_csv(sys.stdout, columns, rows)
    elif output is Format.JSON:
        typer.echo(to_json([dict(zip(columns.names, row, strict=True)) for row in rows], indent=2))
    else:
        console = make_wide_console()
        if rows:
            console.print(make_table(columns, rows, console.width, is_framed=console.is_terminal))
        count = sum(row[1] for row in rows)
        console.print(Text(list_note(count, {"": count}, 0), style="dim"))


def show(
    context: typer.Context,
    letter_id: Annotated[str, typer.Argument(metavar="ID", help="The letter: topic-partition-offset")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object")] = False,
) -> None:
    """Show all about one refused record: why, what to do, its bytes, and what became of sending it again."""
    with _clickhouse(context) as clickhouse:
        heads = find_heads(clickhouse, make_filters(read_clock(), ids=[letter_id]))
        (letter,) = read_letters(clickhouse, heads)
        replays = read_replays(clickhouse, letter)
    if as_json:
        typer.echo(to_json({**record_of(letter), "replayed": [vars(each) for each in replays]}, indent=2))
        return
    console = make_wide_console()
    console.print(make_detail(letter))
    for title, lines in (("record", show_record(letter.raw)), ("replays", replay_lines(replays) or ["none"])):
        console.print(Text(f"\n{title}", style="bold"))
        console.print(Text("\n".join(lines)), soft_wrap=True)
