import gzip
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.rows import MAX_LINE_BYTES, Row, format_of, open_input, read_csv, read_ndjson
from schemas.errors import Misconfigured


def csv_rows(content: bytes, needed: set[str] | None = None, delimiter: str = ",") -> list[Row]:
    return list(read_csv(io.BytesIO(content), delimiter, needed or set(), "f.csv"))


def reasons(rows: list[Row]) -> list[str | None]:
    return [row.fault.reason if row.fault else None for row in rows]


def test_csv_cells_are_named_by_the_first_line_and_numbered_by_their_last() -> None:
    rows = csv_rows(b'\xef\xbb\xbfa,b\r\n1,2\r\n\r\n"x\ny",3\r\n')
    assert [(row.line, row.values) for row in rows] == [(2, {"a": "1", "b": "2"}), (5, {"a": "x\ny", "b": "3"})]


def test_a_row_that_is_no_csv_does_not_cost_its_neighbours() -> None:
    rows = csv_rows(b'a,b\n1\n1,2,3\n"x"y,2\n5,6\n')
    assert reasons(rows) == ["unreadable_row"] * 3 + [None]
    assert rows[0].fault and rows[0].fault.detail == "1 cells, and the first line names 2 columns"


def test_a_quote_that_never_ends_is_told() -> None:
    assert reasons(csv_rows(b'a,b\n1,2\n"x,3\n4,5\n')) == [None, "unreadable_row"]


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"", "its first line must name the columns"), (b"a,b\n", "has no column c; its columns are a, b"),
     (b"a;c\n", "has no column c; its columns are a;c"), (b"c,c\n", "more than one column is called c")],
)  # fmt: skip
def test_a_useless_header_stops_before_the_first_row(content: bytes, told: str) -> None:
    with pytest.raises(Misconfigured, match=told):
        csv_rows(content, {"c"})


def test_ndjson_lines_are_objects_or_say_why_not() -> None:
    rows = list(read_ndjson(io.BytesIO(b'\xef\xbb\xbf{"a":1}\r\n\n[1]\n{"a":\n\xff\n{"a":NaN}\n{"a":2}')))
    assert reasons(rows) == [None, "not_an_object", "invalid_json", "invalid_utf8", "invalid_json", None]
    assert [row.line for row in rows] == [1, 3, 4, 5, 6, 7] and rows[-1].values == {"a": 2}


def test_an_endless_line_is_rejected_without_holding_it() -> None:
    rows = list(read_ndjson(io.BytesIO(b"x" * (MAX_LINE_BYTES + 10) + b'\n{"a":1}\n')))
    assert reasons(rows) == ["too_large", None] and [row.line for row in rows] == [1, 2]


@given(st.binary(max_size=300))
def test_no_bytes_stop_the_reading(content: bytes) -> None:
    lines = [row.line for row in read_ndjson(io.BytesIO(content))]
    assert lines == sorted(set(lines))
    lines = [row.line for row in csv_rows(b"a,b\n" + content)]
    assert lines == sorted(set(lines))


@pytest.mark.parametrize(
    ("name", "found"),
    [("x.csv", "csv"), ("x.csv.gz", "csv"), ("x.jsonl", "ndjson"), ("x.ndjson.gz", "ndjson"), ("-", "ndjson")],
)  # fmt: skip
def test_the_name_tells_the_format(name: str, found: str) -> None:
    assert format_of(Path(name), None) == found


def test_a_format_is_stated_where_the_name_does_not_tell() -> None:
    assert format_of(Path("export.txt"), "csv") == "csv"
    with pytest.raises(Misconfigured, match="is it CSV or NDJSON"):
        format_of(Path("export.txt"), None)


def test_compressed_files_are_read_like_plain_ones(tmp_path: Path) -> None:
    path = tmp_path / "x.ndjson.gz"
    path.write_bytes(gzip.compress(b'{"a":1}\n'))
    with open_input(path) as (content, _):
        assert [row.values for row in read_ndjson(content)] == [{"a": 1}]
