"""Files of history: the forms that are read, what becomes of odd cells, and what is told of files that are none."""

import gzip
import json
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from producers.history_files import FileRow, check_end, cut, find_empty, gather_fields, read_rows, read_tables
from producers.mapped_rows import Rejected
from producers.mapping import parse_mapping
from schemas.errors import Misconfigured

MAPPING = """
zone: Asia/Jerusalem
fields:
  event_id: {template: "e-{_line}"}
  source: {constant: web}
  type: {column: kind, values: {view: product_viewed, skip: null}}
  occurred_at: {column: at, format: "%Y-%m-%d %H:%M:%S"}
  identifiers.customer_id: user
  properties.sku: {column: details.sku}
"""


def rows_in(path: Path, mapping: str | None = None) -> list[FileRow]:
    read = parse_mapping(mapping, "m.yaml") if mapping else None
    return [row for piece in cut([path], read) for rows in read_rows(piece, read, 2) for row in rows]


def test_row_groups_are_pieces_and_their_rows_are_numbered_through(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"event_id": [str(number) for number in range(7)]}), path, row_group_size=3)
    pieces = cut([path], None, 3)
    assert [(piece.name, piece.first_line, piece.size) for piece in pieces] == [
        ("0/0", 1, 3), ("0/1", 4, 3), ("0/2", 7, 1),
    ]  # fmt: skip
    assert [(row.line, row.raw["event_id"]) for row in rows_in(path)] == [(n + 1, str(n)) for n in range(7)]
    assert sum(len(table) for table in read_tables(pieces[1], 2)) == 3


def test_small_row_groups_are_joined_into_pieces(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"event_id": [str(number) for number in range(11)]}), path, row_group_size=2)
    pieces = cut([path], None, 5)
    assert [(piece.name, piece.first_line, piece.size) for piece in pieces] == [
        ("0/0-1", 1, 4), ("0/2-3", 5, 4), ("0/4-5", 9, 3),
    ]  # fmt: skip
    found = [str(name) for piece in pieces for table in read_tables(piece, 3) for name in table["event_id"].to_pylist()]
    assert found == [str(number) for number in range(11)]


def test_cells_become_what_the_contract_reads(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    zoned = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    table = pa.table(
        {
            "occurred_at": pa.array([zoned], pa.timestamp("us", "UTC")),
            "naive": pa.array([datetime(2026, 1, 2)], pa.timestamp("us")),
            "day": pa.array([date(2026, 1, 2)]),
            "identifiers": pa.array([[("email", "a@example.org"), ("phone", None)]], pa.map_(pa.string(), pa.string())),
            "properties": pa.array([{"sku": "S", "none": None, "tags": ["a"]}]),
            "nothing": pa.array([None], pa.string()),
            "type": pa.array([b"x"], pa.binary()),
        }
    )
    pq.write_table(table, path)
    [row] = rows_in(path)
    assert row.touchpoint == {
        "occurred_at": "2026-01-02T03:04:05.678901Z", "naive": "2026-01-02T00:00:00", "day": "2026-01-02",
        "identifiers": {"email": "a@example.org"}, "properties": {"sku": "S", "tags": ["a"]}, "type": "x",
    }  # fmt: skip
    pq.write_table(pa.table({"customer_id": pa.array([b"\xff"], pa.binary())}), path)
    [row] = rows_in(path)
    assert row.fault is not None and row.fault.reason == "invalid_utf8"


def test_columns_called_by_their_place_go_there() -> None:
    flat = {"type": "x", "customer_id": "C-1", "email": "e", "properties.sku": "S", "properties": '{"query": "q"}'}
    assert gather_fields(flat) == {
        "type": "x", "identifiers": {"customer_id": "C-1", "email": "e"}, "properties": {"query": "q", "sku": "S"},
    }  # fmt: skip
    dotted = {"identifiers.email": "e", "customer_id": "shown only", "identifiers": "{}"}
    assert gather_fields(dotted) == {"identifiers": {"email": "e"}, "customer_id": "shown only"}
    with pytest.raises(Rejected, match="properties"):
        gather_fields({"identifiers": {}, "properties": "{broken"})


def test_a_mapping_is_read_from_every_format(tmp_path: Path) -> None:
    values = [
        {"kind": "view", "at": "2026-07-01 12:00:00", "user": "C-1", "details": {"sku": "S"}},
        {"kind": "skip", "at": "2026-07-01 12:00:00", "user": "C-1", "details": {"sku": "S"}},
        {"kind": "odd", "at": "2026-07-01 12:00:00", "user": "C-1", "details": {"sku": "S"}},
    ]
    ndjson, parquet = tmp_path / "a.ndjson", tmp_path / "a.parquet"
    ndjson.write_text("".join(json.dumps(each) + "\n" for each in values))
    pq.write_table(pa.Table.from_pylist(values), parquet)
    for path in (ndjson, parquet):
        first, second = rows_in(path, MAPPING)
        assert first.touchpoint == {
            "event_id": "e-1", "source": "web", "type": "product_viewed", "occurred_at": "2026-07-01T09:00:00.000Z",
            "identifiers": {"customer_id": "C-1"}, "properties": {"sku": "S"},
        }  # fmt: skip
        assert second.fault is not None and (second.line, second.fault.reason) == (3, "unlisted_value")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.parquet", b"no parquet", "is no Parquet file that can be read"),
        ("a.csv", b"x,y\n1,2\n", "CSV needs a mapping"),
        ("a.txt", b"", "is it CSV or NDJSON"),
        ("-", None, "write standard input to a file first"),
        ("absent.parquet", None, "no such file"),
    ],
)
def test_what_cannot_be_read_is_told_before_anything_begins(
    tmp_path: Path, name: str, content: bytes | None, told: str
) -> None:
    path = tmp_path / name if name != "-" else Path(name)
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(Misconfigured, match=told):
        cut([path], None)


def test_a_file_that_breaks_off_is_an_error_not_an_end(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson.gz"
    whole = gzip.compress("".join(f'{{"event_id": "{uuid4()}"}}\n' for _ in range(5_000)).encode())
    path.write_bytes(whole[: len(whole) // 2])
    told = r"ends early after line 2,[45]\d\d: it was cut off \(truncated\)"
    with pytest.raises(Misconfigured, match=told):
        rows_in(path)
    with pytest.raises(Misconfigured, match=told):
        check_end(path)
    path.write_bytes(whole)
    check_end(path)
    path.write_bytes(whole[:5_000] + b"x" * 100 + whole[5_100:])
    with pytest.raises(Misconfigured, match=r"broken after line \d\d"):
        check_end(path)
    path.write_bytes(whole[:12])
    with pytest.raises(Misconfigured, match="ends early before its first row"):
        find_empty(cut([path], None), [path], None)


def test_files_without_rows_are_found(tmp_path: Path) -> None:
    full, empty, hollow = tmp_path / "a.parquet", tmp_path / "b.parquet", tmp_path / "c.ndjson"
    pq.write_table(pa.table({"event_id": ["e"]}), full)
    pq.write_table(pa.table({"event_id": pa.array([], pa.string())}), empty)
    hollow.write_text("\n")
    paths = [full, empty, hollow]
    assert find_empty(cut(paths, None), paths, None) == [1, 2]


@pytest.mark.parametrize("form", ["", "format: csv\n"])
def test_rejected_rows_are_read_as_they_were_once_somebody_has_mended_them(tmp_path: Path, form: str) -> None:
    path = tmp_path / "rejected.ndjson"
    row = {"kind": "view", "at": "2026-01-02 10:00:00", "user": "C-1", "details.sku": "S"}
    told = {"file": "a.csv", "line": 7, "reason": "missing_field", "detail": "user"}
    path.write_text(json.dumps({**told, "row": row}) + "\n" + json.dumps(row) + "\n", "utf-8")
    mended = rows_in(path, form + MAPPING)
    assert [(each.line, each.raw["user"], each.fault) for each in mended] == [(1, "C-1", None), (2, "C-1", None)]


def test_what_is_empty_in_parquet_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"event_id": ["e"], "order_id": [""], "case_id": pa.array([None], pa.string())}), path)
    [row] = rows_in(path)
    assert row.raw == {"event_id": "e"}
