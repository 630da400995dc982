"""What ClickHouse answers comes out of a Parquet file as it went in."""

import io
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from console.parquet import BATCH_ROWS, write_parquet
from console.sql_results import Columns

MOMENT = datetime(2026, 11, 21, 10, 0, 0, 123_000, UTC)
JOURNEY = UUID("5f4d1ce0-11e1-5ed3-8bba-1ec9543d7609")


def written(kinds: Mapping[str, str], *rows: tuple[Any, ...]) -> pa.Table:
    out = io.BytesIO()
    write_parquet(out, Columns(tuple(kinds), tuple(kinds.values())), iter(rows))
    return pq.read_table(io.BytesIO(out.getvalue()))


@pytest.mark.parametrize(
    ("kind", "value", "arrow", "found"),
    [
        ("UInt64", 2**64 - 1, pa.uint64(), 2**64 - 1),
        ("Nullable(Float64)", 0.5, pa.float64(), 0.5),
        ("LowCardinality(Nullable(String))", "=שלום", pa.string(), "=שלום"),
        ("DateTime64(3, 'UTC')", MOMENT, pa.timestamp("ms", "UTC"), MOMENT),
        ("DateTime", datetime(2026, 11, 21, 10), pa.timestamp("ms", "UTC"), datetime(2026, 11, 21, 10, tzinfo=UTC)),
        ("Date", date(2026, 11, 21), pa.date32(), date(2026, 11, 21)),
        ("Bool", True, pa.bool_(), True),
        ("UUID", JOURNEY, pa.string(), str(JOURNEY)),
        ("Array(LowCardinality(String))", ["a", "b"], pa.list_(pa.string()), ["a", "b"]),
        ("Map(LowCardinality(String), UInt32)", {"web": 2}, pa.map_(pa.string(), pa.uint32()), [("web", 2)]),
        ("Map(String, Array(UInt8))", {"a": [1]}, pa.map_(pa.string(), pa.list_(pa.uint8())), [("a", [1])]),
        ("Tuple(String, UInt8)", ("a", 1), pa.string(), '["a", 1]'),
    ],
)
def test_types_and_values_stay_what_they_are(kind: str, value: Any, arrow: pa.DataType, found: Any) -> None:
    table = written({"x": kind}, (value,))
    assert table.schema.field("x").type == arrow
    assert table.to_pylist() == [{"x": found}]


@pytest.mark.parametrize("kind", ["Nullable(UInt8)", "Nullable(DateTime64(3))", "Nullable(UUID)", "Nullable(Bool)"])
def test_null_stays_null(kind: str) -> None:
    assert written({"x": kind}, (None,)).to_pylist() == [{"x": None}]


def test_no_rows_are_a_file_with_columns_and_many_are_all_there() -> None:
    assert written({"a": "UInt8", "b": "String"}).schema.names == ["a", "b"]
    many = written({"a": "UInt32"}, *((number,) for number in range(2 * BATCH_ROWS + 5)))
    assert many.column("a").to_pylist() == list(range(2 * BATCH_ROWS + 5))
