import csv
import io
import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.cells import FORMULA_STARTS, csv_cell, is_number_type, json_value, printable, show_cell
from console.sql_results import Columns, count_line, write_csv, write_json, write_ndjson


@pytest.mark.parametrize("kind", ["UInt64", "Nullable(Int8)", "LowCardinality(Nullable(Float64))", "Decimal(9, 2)"])
def test_number_types(kind: str) -> None:
    assert is_number_type(kind)


@pytest.mark.parametrize("kind", ["String", "Array(UInt64)", "IntervalDay", "Map(String, UInt8)", "DateTime"])
def test_other_types(kind: str) -> None:
    assert not is_number_type(kind)


@given(st.text())
def test_no_text_reaches_a_spreadsheet_as_a_formula(text: str) -> None:
    cell = csv_cell(text, "String")
    assert not cell.startswith(FORMULA_STARTS)
    assert cell in (text, f"'{text}")


@given(st.one_of(st.integers(), st.floats(allow_nan=False)))
def test_numbers_of_number_columns_stay_numbers(number: float) -> None:
    assert float(csv_cell(number, "Float64")) == float(number)


def test_a_number_in_a_text_column_is_text() -> None:
    assert csv_cell("-5", "String") == "'-5"


def test_nested_values_cannot_start_a_formula() -> None:
    assert csv_cell(["=1+1"], "Array(String)") == '["=1+1"]'


def test_json_values_keep_their_meaning() -> None:
    local = datetime(2026, 11, 21, 12, tzinfo=timezone(timedelta(hours=2)))
    assert json_value(datetime(2026, 11, 21, 10, 0, 0, 123000, UTC)) == "2026-11-21T10:00:00.123Z"
    assert json_value(local) == "2026-11-21T12:00:00+02:00"
    assert json_value(datetime(2026, 7, 1, 12), ZoneInfo("Asia/Jerusalem")) == "2026-07-01T12:00:00+03:00"
    assert json_value(date(2026, 11, 21)) == "2026-11-21"
    assert json_value(Decimal("0.10")) == "0.10"
    assert json_value(float("nan")) is None
    assert json_value({"a": (UUID(int=1), True)}) == {"a": [str(UUID(int=1)), True]}
    assert json_value(b"\xff") == "\\xff"


@given(st.text())
def test_nothing_printed_can_move_the_cursor_or_turn_the_reading_direction(text: str) -> None:
    assert printable(text).isprintable()
    assert show_cell(text).isprintable()


def test_hebrew_is_shown_as_it_is() -> None:
    assert show_cell("המתנה ארוכה") == "המתנה ארוכה"


ROWS = [("=SUM(A1)", -3, None), ('say "hi", twice', 4, "x\ny")]
COLUMNS = Columns(("text", "number", "note"), ("String", "Int64", "Nullable(String)"))


def test_csv_can_be_read_back() -> None:
    out = io.StringIO()
    write_csv(out, COLUMNS, ROWS)
    assert list(csv.reader(io.StringIO(out.getvalue()))) == [
        ["text", "number", "note"],
        ["'=SUM(A1)", "-3", ""],
        ['say "hi", twice', "4", "x\ny"],
    ]


@pytest.mark.parametrize("rows", [[], ROWS[:1], ROWS])
def test_json_and_ndjson_hold_the_same_objects(rows: list[tuple[object, ...]]) -> None:
    whole, lines = io.StringIO(), io.StringIO()
    write_json(whole, COLUMNS, rows)
    write_ndjson(lines, COLUMNS, rows)
    expected = [dict(zip(COLUMNS.names, row, strict=True)) for row in rows]
    assert json.loads(whole.getvalue()) == expected
    assert [json.loads(line) for line in lines.getvalue().splitlines()] == expected


def test_a_cut_result_says_so() -> None:
    assert count_line(500, 1_234) == "1,234 rows, of which the first 500 are shown: --limit 0 shows all"
    assert count_line(1, 1) == "1 row"
