"""Query results as a table, CSV, JSON or NDJSON; rows are written as they come, except for a table's."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Any, Literal, TextIO

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from console.cells import csv_cell, is_number_type, is_truth_type, json_value, show_cell
from console.invocation import unwrap

Format = Literal["table", "json", "csv", "ndjson"]
Row = Sequence[Any]
MIN_COLUMN_WIDTH = 9


@dataclass(frozen=True)
class Columns:
    """Names and ClickHouse types of a result's columns."""

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    zone: tzinfo = UTC
    """Zone of times whose column states none."""


def with_truths(columns: Columns, rows: Iterator[Row]) -> Iterator[Row]:
    """Rows whose columns of type Bool hold true and false only.

    The driver gives 0 in place of false where the server sends a column as its few values that are no default.
    """
    places = [place for place, kind in enumerate(columns.kinds) if is_truth_type(kind)]
    if not places:
        yield from rows
        return
    for row in rows:
        cells = list(row)
        for place in places:
            cells[place] = None if cells[place] is None else bool(cells[place])
        yield cells


def take(rows: Iterable[Row], limit: int | None) -> tuple[list[Row], int]:
    """The first `limit` rows (None: all), and how many there are in all."""
    kept: list[Row] = []
    count = 0
    for row in rows:
        count += 1
        if limit is None or count <= limit:
            kept.append(row)
    return kept, count


def count_line(shown: int, count: int) -> str:
    """How many rows there are, and how to see the rest."""
    noun = "row" if count == 1 else "rows"
    if shown == count:
        return f"{count:,} {noun}"
    return f"{count:,} {noun}, of which the first {shown:,} are shown: --limit 0 shows all"


def make_table(columns: Columns, rows: Sequence[Row], width: int, *, is_framed: bool = True) -> RenderableType:
    """A table that fits `width`; with more columns than fit, each row as a list of its own. Framed by blank lines."""
    if not _fits(columns, width):
        return Group(*(_make_record(columns, number, row) for number, row in enumerate(rows, 1)))
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, show_edge=is_framed)
    for name, kind in zip(columns.names, columns.kinds, strict=True):
        table.add_column(Text(name), justify="right" if is_number_type(kind) else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    return table


def _fits(columns: Columns, width: int) -> bool:
    return len(columns.names) * MIN_COLUMN_WIDTH <= width


def make_pairs(rows: Iterable[tuple[str, str]]) -> Table:
    """Labels and values, a line each, without a frame."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for label, value in rows:
        table.add_row(Text(label), Text(value))
    return table


def _make_record(columns: Columns, number: int, row: Row) -> RenderableType:
    table = Table(box=None, show_header=False, pad_edge=False, title=f"row {number}", title_justify="left")
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in zip(columns.names, row, strict=True):
        table.add_row(Text(name), _cell(value))
    return table


def _cell(value: Any) -> Text:
    return Text("NULL", style="dim") if value is None else Text(show_cell(value))


def write_table(console: Console, columns: Columns, rows: Iterable[Row], limit: int | None) -> int:
    """Print a table and how many rows it has; returns the number of rows."""
    kept, count = take(rows, limit)
    # In a pipe the first line is of use (`| head -1`).
    unwrap(console)
    console.print(make_table(columns, kept, console.width, is_framed=console.is_terminal))
    console.print(count_line(len(kept), count), style="dim")
    return count


def write_paged_table(console: Console, columns: Columns, rows: Iterable[Row], limit: int | None) -> None:
    """Print a table, through the user's pager where it is higher than the terminal."""
    kept, count = take(rows, limit)
    table = make_table(columns, kept, console.width)
    # Head and frame of a table, and the line below it.
    if len(kept) + 6 <= console.height and _fits(columns, console.width):
        console.print(table)
    else:
        with console.pager(styles=True):
            console.print(table)
    console.print(count_line(len(kept), count), style="dim")


def write_csv(out: TextIO, columns: Columns, rows: Iterable[Row]) -> None:
    """Comma-separated with a header line; safe to open in a spreadsheet."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(csv_cell(name, "String") for name in columns.names)
    for row in rows:
        writer.writerow(csv_cell(value, kind, columns.zone) for value, kind in zip(row, columns.kinds, strict=True))


def write_json(out: TextIO, columns: Columns, rows: Iterable[Row]) -> None:
    """One array of objects, one row a line."""
    write_array(out, _objects(columns, rows))


def write_array(out: TextIO, objects: Iterable[str]) -> None:
    """One array of what is JSON already, one of them a line, as they come."""
    separator = "["
    for line in objects:
        out.write(f"{separator}\n  {line}")
        separator = ","
    out.write("[]\n" if separator == "[" else "\n]\n")


def write_ndjson(out: TextIO, columns: Columns, rows: Iterable[Row]) -> None:
    """One object a line."""
    for line in _objects(columns, rows):
        out.write(line + "\n")


def _objects(columns: Columns, rows: Iterable[Row]) -> Iterator[str]:
    for row in rows:
        found = {name: json_value(value, columns.zone) for name, value in zip(columns.names, row, strict=True)}
        yield json.dumps(found, ensure_ascii=False)
