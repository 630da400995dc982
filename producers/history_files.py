"""Files of history, cut into pieces that several processes can read: rows of Parquet, NDJSON and CSV as touchpoints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from producers.mapped_rows import Rejected, RowMapper, Skipped
from producers.mapping import Mapping
from producers.rows import (
    DAMAGE,
    MAX_LINE_BYTES,
    STDIN,
    SUFFIXES,
    Row,
    format_of,
    open_input,
    read_csv,
    read_ndjson,
)
from schemas.errors import Misconfigured
from schemas.identifiers import KINDS

PARQUET = (".parquet", ".pq")
NESTED = ("identifiers", "properties")
TABLE_ROWS = 10_000
"""So many rows of Parquet are made Python's at a time."""
PIECE_ROWS = 250_000
"""Row groups are joined into pieces of about so many: what is written piece by piece should not come in small parts."""
_JSON_START = "{"


@dataclass(frozen=True)
class Piece:
    """A part of a file: row groups of Parquet that follow one another, else all of it (`groups` None).

    `number`: the file's among the given ones. `first_line`: the number of its first row, from 1. `size` is rows where
    Parquet states them, else bytes.
    """

    path: Path
    number: int
    groups: range | None
    first_line: int
    size: int

    @property
    def name(self) -> str:
        """What names it among the pieces of a run."""
        return f"{self.number}" if self.groups is None else f"{self.number}/{self._span}"

    @property
    def where(self) -> str:
        """Where in its file it is."""
        assert self.groups is not None, "only Parquet has row groups"
        return f"row group{'s' if len(self.groups) > 1 else ''} {self._span}"

    @property
    def _span(self) -> str:
        groups = self.groups or range(0)
        return f"{groups[0]}-{groups[-1]}" if len(groups) > 1 else f"{groups[0]}"


@dataclass(frozen=True, slots=True)
class FileRow:
    """One row: a touchpoint not yet judged, or why it is none. `raw` is what is shown of it."""

    line: int
    touchpoint: dict[str, Any] | None
    raw: Any
    fault: Rejected | None = None


def is_parquet(path: Path) -> bool:
    """Whether a file's name says that it is Parquet."""
    return path.suffix in PARQUET


def cut(paths: Sequence[Path], mapping: Mapping | None, piece_rows: int = PIECE_ROWS) -> list[Piece]:
    """The pieces of some files, of Parquet with about so many rows.

    Raises `Misconfigured` for what is missing, a folder, or of no known format.
    """
    pieces: list[Piece] = []
    for number, path in enumerate(paths):
        if path == STDIN:
            raise Misconfigured("a backfill reads its files more than once: write standard input to a file first")
        if path.is_dir():
            raise Misconfigured(f"{path} is a folder: {_what_to_give(path)}")
        if not path.is_file():
            raise Misconfigured(f"no such file: {path}")
        pieces += _cut_parquet(path, number, piece_rows) if is_parquet(path) else [_whole(path, number, mapping)]
    return pieces


def _what_to_give(folder: Path) -> str:
    known, found = (*PARQUET, *SUFFIXES), Counter[str]()
    with suppress(OSError):
        names = [each.name for each in folder.iterdir() if each.is_file()]
        ends = [(name.removesuffix(".gz"), ".gz" if name.endswith(".gz") else "") for name in names]
        found.update(Path(name).suffix + packed for name, packed in ends if Path(name).suffix in known)
    if not found:
        return "give files, and there is no Parquet, NDJSON or CSV in it"
    return f"give the files in it, {' '.join(f'{folder}/*{end}' for end, _ in found.most_common())}"


def find_empty(pieces: Sequence[Piece], paths: Sequence[Path], mapping: Mapping | None) -> list[int]:
    """The numbers of those files in which there is no row. Of each other one the first row was read.

    Raises `Misconfigured` where it cannot be, or the columns are not those of the mapping.
    """
    full = {piece.number for piece in pieces if piece.groups is not None and piece.size}
    full |= {piece.number for piece in pieces if piece.groups is None and _has_rows(piece, mapping)}
    return [number for number in range(len(paths)) if number not in full]


def _has_rows(piece: Piece, mapping: Mapping | None) -> bool:
    try:
        with open_input(piece.path) as (content, _):
            if not content.read(1):
                return False
        with closing(_rows(piece, mapping)) as rows:
            return next(rows, None) is not None
    except DAMAGE as error:
        raise _damaged(piece.path, 0, error) from error


def check_end(path: Path) -> None:
    """Read what is compressed to its end, which takes its time. Raises `Misconfigured` where it has none."""
    if path.suffix != ".gz":
        return
    lines = 0
    with open_input(path) as (content, _):
        try:
            while content.readline(MAX_LINE_BYTES):
                lines += 1
        except DAMAGE as error:
            raise _damaged(path, lines, error) from error


def _damaged(path: Path, line: int, error: Exception) -> Misconfigured:
    where = f"after line {line:,}" if line else "before its first row"
    if isinstance(error, EOFError):
        return Misconfigured(f"{path}: ends early {where}: it was cut off (truncated), get the whole of it")
    return Misconfigured(f"{path}: broken {where}: {' '.join(str(error).split())}")


def _whole(path: Path, number: int, mapping: Mapping | None) -> Piece:
    form = format_of(path, mapping.format if mapping else None)
    if form == "csv" and mapping is None:
        raise Misconfigured(f"{path}: CSV needs a mapping that says which column is what: --mapping FILE")
    return Piece(path, number, None, 1, path.stat().st_size)


def _cut_parquet(path: Path, number: int, piece_rows: int) -> list[Piece]:
    with open_parquet(path) as file:
        sizes = [file.metadata.row_group(each).num_rows for each in range(file.num_row_groups)]
    pieces, start, line = [], 0, 1
    while start < len(sizes):
        stop, size = start + 1, sizes[start]
        while stop < len(sizes) and size + sizes[stop] <= piece_rows:
            size += sizes[stop]
            stop += 1
        pieces.append(Piece(path, number, range(start, stop), line, size))
        start, line = stop, line + size
    return pieces


def open_parquet(path: Path) -> pq.ParquetFile:
    """A Parquet file. Raises `Misconfigured` where it is none."""
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise Misconfigured(f"{path}: is no Parquet file that can be read: {error}") from error


def read_tables(piece: Piece, rows: int) -> Iterator[pa.Table]:
    """A piece of Parquet, so many rows at a time. Raises `Misconfigured` where it is broken."""
    assert piece.groups is not None, "a piece of Parquet is some row groups"
    with open_parquet(piece.path) as file:
        try:
            for batch in file.iter_batches(rows, list(piece.groups)):
                yield pa.Table.from_batches([batch])
        except (pa.ArrowInvalid, OSError) as error:
            raise Misconfigured(f"{piece.path}: broken in {piece.where}: {error}") from error


def read_rows(piece: Piece, mapping: Mapping | None, size: int) -> Iterator[list[FileRow]]:
    """The rows of a piece, so many at a time; what the mapping skips is left out. Raises `Misconfigured`."""
    mapper = RowMapper(mapping) if mapping else None
    rows, line = _rows(piece, mapping, min(size, TABLE_ROWS)), piece.first_line - 1
    while True:
        given: list[Row] = []
        try:
            for row in islice(rows, size):
                given.append(row)
        except DAMAGE as error:
            raise _damaged(piece.path, given[-1].line if given else line, error) from error
        if not given:
            return
        line = given[-1].line
        yield [mapped for each in given if (mapped := _map(each, mapper)) is not None]


REJECTED_FIELDS = frozenset({"file", "line", "reason", "detail", "row"})
"""What a line says of a row that was rejected."""


def _rows(piece: Piece, mapping: Mapping | None, table_rows: int = TABLE_ROWS) -> Generator[Row, None, None]:
    if piece.groups is not None:
        line = piece.first_line
        for table in read_tables(piece, table_rows):
            yield from rows_of(table, line)
            line += len(table)
        return
    with open_input(piece.path) as (content, _):
        # What was rejected of a CSV file is mended as lines of JSON, and the mapping still says that it is CSV.
        is_json = piece.path.name.removesuffix(".gz").endswith(".ndjson")
        if mapping is not None and not is_json and format_of(piece.path, mapping.format) == "csv":
            yield from read_csv(content, mapping.delimiter, mapping.columns(), str(piece.path))
        else:
            yield from map(unwrap, read_ndjson(content))


def unwrap(row: Row) -> Row:
    """The row that a line of a file of rejected rows is about; any other as it is."""
    within = row.values.get("row")
    if row.fault is None and row.values.keys() == REJECTED_FIELDS and isinstance(within, dict):
        return Row(row.line, within, within)
    return row


def rows_of(table: pa.Table, first_line: int) -> Iterator[Row]:
    """The rows of a Parquet table: times as RFC 3339, maps as objects, bytes as text.

    What is null is left out, and so is what is an empty text: the tables of `analytics`, and what is written of them,
    know no other way to say that there is none.
    """
    for line, values in enumerate(table.to_pylist(), first_line):
        try:
            plain = {name: _plain(value) for name, value in values.items() if value not in (None, "")}
        except UnicodeDecodeError as error:
            fault = Rejected("invalid_utf8", f"byte {error.start} is not UTF-8: {error.reason}")
            yield Row(line, {}, {name: repr(value) for name, value in values.items()}, fault)
        else:
            yield Row(line, plain, plain)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return _moment(value)
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items() if each is not None}
    if isinstance(value, list):
        if value and all(isinstance(each, tuple) and len(each) == 2 for each in value):
            return {str(name): _plain(each) for name, each in value if each is not None}
        return [_plain(each) for each in value]
    return value


def _moment(value: datetime) -> str:
    text = value.astimezone(UTC).isoformat() if value.tzinfo else value.isoformat()
    return text.replace("+00:00", "Z")


def _map(row: Row, mapper: RowMapper | None) -> FileRow | None:
    if row.fault is not None:
        return FileRow(row.line, None, row.raw, row.fault)
    try:
        touchpoint = mapper.map_row(row.values, row.line) if mapper else gather_fields(row.values)
    except Skipped:
        return None
    except Rejected as error:
        return FileRow(row.line, None, row.raw, error)
    return FileRow(row.line, touchpoint, row.raw)


def gather_fields(values: dict[str, Any]) -> dict[str, Any]:
    """A row without a mapping as a touchpoint: columns `identifiers.email` and `properties.sku` go where they belong.

    So do columns that are called as a kind of identifier where no `identifiers` are there, and `identifiers` and
    `properties` may be JSON texts.
    """
    if all(isinstance(values.get(name, {}), dict) for name in NESTED) and not _is_flat(values):
        return values
    touchpoint = dict(values)
    for name in NESTED:
        given = values.get(name)
        if isinstance(given, str) and given.startswith(_JSON_START):
            touchpoint[name] = _read_json(given, name)
    for column, value in values.items():
        head, _, rest = column.partition(".")
        if head in NESTED and rest:
            touchpoint.pop(column)
            nested = touchpoint.setdefault(head, {})
            if isinstance(nested, dict):
                nested[rest] = value
    if "identifiers" not in touchpoint:
        touchpoint["identifiers"] = {kind: touchpoint.pop(kind) for kind in KINDS if kind in touchpoint}
    return touchpoint


def _is_flat(values: dict[str, Any]) -> bool:
    return "identifiers" not in values or any("." in name for name in values)


def _read_json(text: str, name: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise Rejected("invalid_json", f"{name}: {error}") from error
