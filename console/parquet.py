"""Query results as Parquet, with the types that ClickHouse has."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from console.cells import json_value
from console.sql_results import Columns, Row

BATCH_ROWS = 10_000
NUMBERS = {
    "Bool": pa.bool_(),
    **{f"Int{bits}": getattr(pa, f"int{bits}")() for bits in (8, 16, 32, 64)},
    **{f"UInt{bits}": getattr(pa, f"uint{bits}")() for bits in (8, 16, 32, 64)},
    "Float32": pa.float32(),
    "Float64": pa.float64(),
    "Date": pa.date32(),
    "Date32": pa.date32(),
}
Convert = Callable[[Any], Any]


def write_parquet(out: BinaryIO, columns: Columns, rows: Iterator[Row]) -> None:
    """One file, rows as they come. What Parquet has no type for (tuples, UUIDs, enums) becomes text."""
    types, converts = zip(*(_translate(kind, columns) for kind in columns.kinds), strict=True)
    schema = pa.schema(list(zip(columns.names, types, strict=True)))
    with pq.ParquetWriter(out, schema) as writer:
        while batch := list(islice(rows, BATCH_ROWS)):
            cells = [
                pa.array(map(convert, values), kind)
                for values, kind, convert in zip(zip(*batch, strict=True), types, converts, strict=True)
            ]
            writer.write_table(pa.Table.from_arrays(cells, schema=schema))


def _translate(kind: str, columns: Columns) -> tuple[pa.DataType, Convert]:
    """A ClickHouse type as Arrow has it, and what makes the driver's value one of that; NULL stays NULL."""
    name, inner = _split(kind)
    if name in ("Nullable", "LowCardinality"):
        return _translate(inner, columns)
    if name in NUMBERS:
        return NUMBERS[name], _same
    if name in ("DateTime", "DateTime64"):
        return pa.timestamp("ms", "UTC"), _or_null(lambda value: _aware(value, columns))
    if name == "Array":
        element, convert = _translate(inner, columns)
        return pa.list_(element), _or_null(lambda values: list(map(convert, values)))
    if name == "Map":
        key, value = (_translate(each, columns) for each in _arguments(inner))
        return pa.map_(key[0], value[0]), _or_null(
            lambda pairs: [(key[1](name), value[1](each)) for name, each in pairs.items()]
        )
    return pa.string(), _or_null(lambda value: _text(value, columns))


def _split(kind: str) -> tuple[str, str]:
    name, _, rest = kind.partition("(")
    return name, rest.removesuffix(")")


def _arguments(inner: str) -> Iterable[str]:
    """The arguments of a type: commas inside of brackets part nothing."""
    depth, start = 0, 0
    for place, sign in enumerate(inner):
        depth += (sign == "(") - (sign == ")")
        if sign == "," and depth == 0:
            yield inner[start:place].strip()
            start = place + 1
    yield inner[start:].strip()


def _same(value: Any) -> Any:
    return value


def _or_null(convert: Convert) -> Convert:
    return lambda value: None if value is None else convert(value)


def _aware(value: datetime, columns: Columns) -> datetime:
    return value if value.tzinfo else value.replace(tzinfo=columns.zone)


def _text(value: Any, columns: Columns) -> str:
    plain = json_value(value, columns.zone)
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)
