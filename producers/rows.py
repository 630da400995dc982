"""Rows of NDJSON and CSV files, plain or .gz, each with its line number; a row that cannot be read says why."""

from __future__ import annotations

import csv
import gzip
import io
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

from producers.mapped_rows import Rejected
from schemas.errors import Misconfigured, Undecodable
from schemas.wire import BYTE_ORDER_MARK, parse_object

STDIN = Path("-")
MAX_LINE_BYTES = 16 * 1024 * 1024
DAMAGE = (EOFError, zlib.error, OSError)
"""What reading a file that is cut off or broken raises."""

Format = Literal["csv", "ndjson"]
_FORMATS: dict[str, Format] = {".csv": "csv", ".ndjson": "ndjson", ".jsonl": "ndjson", ".json": "ndjson"}
SUFFIXES = tuple(_FORMATS)


@dataclass(frozen=True, slots=True)
class Row:
    """One row, or why it is none. `line` is the number of its last line, the first of the file being 1."""

    line: int
    values: dict[str, Any]
    raw: Any
    fault: Rejected | None = None


def format_of(path: Path, stated: Format | None) -> Format:
    """The format of a file, as stated or by its name. Raises `Misconfigured`."""
    if stated is not None:
        return stated
    if path == STDIN:
        return "ndjson"
    name = Path(path.name.removesuffix(".gz"))
    if name.suffix not in _FORMATS:
        raise Misconfigured(f"{path}: is it CSV or NDJSON? Name it .csv or .ndjson, or state `format:` in a mapping")
    return _FORMATS[name.suffix]


@contextmanager
def open_input(path: Path) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """The content of a file (decompressed if .gz), and the file itself, whose position tells how far it is."""
    if path == STDIN:
        yield sys.stdin.buffer, sys.stdin.buffer
        return
    try:
        file = path.open("rb")
    except OSError as error:
        raise Misconfigured(f"{path}: cannot be read: {error.strerror}") from error
    with file:
        if path.suffix == ".gz":
            with gzip.open(file, "rb") as content:
                yield content, file  # type: ignore[misc]
        else:
            yield file, file


def read_ndjson(content: BinaryIO) -> Iterator[Row]:
    """One object per line; blank lines are passed over."""
    line = 0
    while raw := content.readline(MAX_LINE_BYTES):
        line += 1
        if len(raw) == MAX_LINE_BYTES and not raw.endswith(b"\n"):
            _skip_rest_of_line(content)
            yield Row(line, {}, None, Rejected("too_large", f"the line is longer than {MAX_LINE_BYTES} bytes"))
        elif raw.strip():
            yield _object_row(line, raw.rstrip(b"\r\n"))


def read_csv(content: BinaryIO, delimiter: str, needed: set[str], name: str) -> Iterator[Row]:
    """Rows by the names in the first line; empty cells are kept as "". Raises `Misconfigured` for a useless header."""
    # Bytes that are no UTF-8 become lone surrogates, which the contract then refuses row by row, where they matter.
    text = io.TextIOWrapper(content, "utf-8-sig", errors="surrogateescape", newline="")
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    header = _header(reader, needed, name)
    try:
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield Row(reader.line_num, {}, None, Rejected("unreadable_row", f"not CSV: {error}"))
                continue
            if cells:
                yield _cells_row(reader.line_num, header, cells)
    finally:
        text.detach()


def _header(reader: Any, needed: set[str], name: str) -> list[str]:
    try:
        header: list[str] = next(reader)
    except (StopIteration, csv.Error) as error:
        raise Misconfigured(f"{name}: its first line must name the columns") from error
    missing = sorted(needed - set(header))
    if missing:
        raise Misconfigured(f"{name}: has no column {', '.join(missing)}; its columns are {', '.join(header)[:500]}")
    twice = sorted({column for column in needed if header.count(column) > 1})
    if twice:
        raise Misconfigured(f"{name}: more than one column is called {', '.join(twice)}: rename all but one")
    return header


def _cells_row(line: int, header: list[str], cells: list[str]) -> Row:
    if len(cells) == len(header):
        values = dict(zip(header, cells, strict=True))
        return Row(line, values, values)
    detail = f"{len(cells)} cells, and the first line names {len(header)} columns"
    return Row(line, {}, cells, Rejected("unreadable_row", detail))


def _object_row(line: int, raw: bytes) -> Row:
    try:
        found = parse_object(raw.removeprefix(BYTE_ORDER_MARK) if line == 1 else raw)
    except Undecodable as error:
        return Row(line, {}, raw.decode("utf-8", "backslashreplace"), Rejected(error.reason, error.detail))
    return Row(line, found, found)


def _skip_rest_of_line(content: BinaryIO) -> None:
    while (rest := content.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
        pass
