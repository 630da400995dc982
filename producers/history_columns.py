"""Parquet tables whose columns are those of a touchpoint, as plain columns, for a fraction of what rows cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from schemas.columns import NO_PROPERTIES, NOT_SAID_MS, ColumnBatch
from schemas.identifiers import KINDS
from schemas.touchpoint import SCHEMA_VERSION

REQUIRED = ("event_id", "source", "type", "occurred_at")
TEXTS = ("order_id", "case_id", "store_id", "agent_id", "channel")


def read_columns(table: pa.Table) -> ColumnBatch | None:
    """A table's touchpoints; None where its columns are of another form, and rows have to be read one by one.

    Texts, times with a zone, `properties` as JSON text, and identifiers either as a map or as columns called by kind.
    """
    names = table.column_names
    if len(set(names)) != len(names) or not set(REQUIRED) <= set(names) or any("." in name for name in names):
        return None
    moments = [name for name in ("occurred_at", "received_at") if name in names]
    texts = [*REQUIRED[:3], *[name for name in (*TEXTS, "properties") if name in names]]
    has_map = "identifiers" in names
    kinds = [] if has_map else [kind for kind in KINDS if kind in names]
    if has_map and not _is_map(table.schema.field("identifiers").type):
        return None
    if not (has_map or kinds) or not all(_is_text(table.schema.field(name).type) for name in (*texts, *kinds)):
        return None
    if not all(_is_zoned(table.schema.field(name).type) for name in moments):
        return None
    return _Reading(table.combine_chunks()).read(kinds)


def _is_text(kind: pa.DataType) -> bool:
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(plain) or pa.types.is_large_string(plain))


def _is_map(kind: pa.DataType) -> bool:
    return bool(pa.types.is_map(kind) and _is_text(kind.key_type) and _is_text(kind.item_type))


def _is_zoned(kind: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(kind) and kind.tz is not None)


class _Reading:
    """One table. Rows of which a column says what plain columns do not are noted as doubtful."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        self._names = frozenset(table.column_names)
        self._doubtful: set[int] = set()

    def read(self, kinds: Sequence[str]) -> ColumnBatch:
        """`kinds`: the columns that hold identifiers; none where a map does."""
        if "sent_at" in self._names:
            self._doubt(pc.is_valid(self._table.column("sent_at")))
        if "schema_version" in self._names:
            self._doubt(pc.not_equal(self._table.column("schema_version"), SCHEMA_VERSION))
        return ColumnBatch(
            event_ids=self._required("event_id"),
            sources=self._required("source"),
            types=self._required("type"),
            occurred_ms=self._moments("occurred_at"),
            received_ms=self._moments("received_at", is_needed=False) if "received_at" in self._names else None,
            identifiers={kind: self._optional(kind) for kind in kinds} if kinds else self._map(),
            order_ids=self._optional("order_id"),
            case_ids=self._optional("case_id"),
            store_ids=self._optional("store_id"),
            agent_ids=self._optional("agent_id"),
            channels=self._optional("channel"),
            properties=self._properties(),
            doubtful=frozenset(self._doubtful),
        )

    def _doubt(self, mask: Any) -> None:
        if pc.any(mask).as_py():
            self._doubtful.update(pc.indices_nonzero(pc.fill_null(mask, False)).to_pylist())

    def _required(self, name: str) -> list[str]:
        column = self._table.column(name)
        self._doubt(pc.is_null(column))
        return _texts(column, "")

    def _optional(self, name: str) -> list[str]:
        if name not in self._names:
            return [""] * len(self._table)
        column = _plain(self._table.column(name))
        # An empty text is no missing one.
        self._doubt(pc.equal(column, ""))
        return _texts(column, "")

    def _map(self) -> dict[str, list[str]]:
        found = {kind: [""] * len(self._table) for kind in KINDS}
        for place, pairs in enumerate(self._table.column("identifiers").to_pylist()):
            for kind, value in pairs or ():
                if kind in found and value and not found[kind][place]:
                    found[kind][place] = value
                else:
                    self._doubtful.add(place)
        return found

    def _properties(self) -> list[str]:
        if "properties" not in self._names:
            return [NO_PROPERTIES] * len(self._table)
        return _texts(self._table.column("properties"), NO_PROPERTIES)

    def _moments(self, name: str, *, is_needed: bool = True) -> list[int]:
        column = self._table.column(name)
        if is_needed:
            self._doubt(pc.is_null(column))
        # Moments are rounded down everywhere; before 1970 a cast rounds up.
        self._doubt(pc.less(column.cast(pa.int64()), 0))
        values = pc.cast(column, pa.timestamp("ms", column.type.tz), safe=False).cast(pa.int64())
        return list(pc.fill_null(values, NOT_SAID_MS).to_numpy().tolist())


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _texts(column: pa.ChunkedArray, missing: str) -> list[str]:
    return list(pc.fill_null(_plain(column), missing).to_numpy(zero_copy_only=False).tolist())
