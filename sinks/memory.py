"""A writer that keeps rows in memory: answers the state store as ClickHouse does, and fails when told to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from schemas.errors import JourneysError, Terminal
from sinks import state_queries
from sinks.forgotten_table import FORGOTTEN_IDENTIFIERS
from sinks.identity_queries import decided_between
from sinks.memory_identity import decided_in, identity_answers, is_in_ranges
from sinks.tables import (
    ALERT_ACTIONS,
    ALERTS,
    CUSTOMER_STATE,
    DEAD_LETTER_REPLAYS,
    DEAD_LETTERS,
    FACTS,
    IDENTITY_LINKS,
    IDENTITY_OWNERS,
    JOURNEY_REDIRECTS,
    JOURNEYS,
    PARTITION_PROGRESS,
    PROMISES,
    TOUCHPOINTS,
    Table,
)

Row = dict[str, Any]

KEYS: Mapping[str, tuple[str, ...]] = {
    TOUCHPOINTS.name: ("customer_id", "occurred_at_ms", "source", "event_id"),
    JOURNEYS.name: ("customer_id", "journey_id"),
    PROMISES.name: ("customer_id", "promise_id"),
    ALERTS.name: ("customer_id", "episode_id"),
    FACTS.name: ("type", "sku", "store_id", "occurred_at_ms", "source", "event_id"),
    ALERT_ACTIONS.name: ("action_id",),
    DEAD_LETTERS.name: ("topic", "partition", "offset"),
    DEAD_LETTER_REPLAYS.name: ("topic", "partition", "offset", "raw_hash", "attempt", "replayed_at_ms"),
    IDENTITY_LINKS.name: ("identifier", "owner", "rule", "occurred_at_ms", "source", "event_id"),
    IDENTITY_OWNERS.name: ("identifier",),
    JOURNEY_REDIRECTS.name: ("journey_id",),
    CUSTOMER_STATE.name: ("customer_key", "segment"),
    PARTITION_PROGRESS.name: ("consumer_group", "partition", "epoch", "worker"),
    FORGOTTEN_IDENTIFIERS.name: ("identifier_hash",),
}
"""Wire columns of the sorting key of each table: of rows with equal keys the highest version wins."""


@dataclass
class _Failure:
    error: JourneysError
    table: str | None
    after_writing: bool


class MemoryWriter:
    """`sinks.writer.Writer` in memory. Rows are kept as they came over the wire."""

    def __init__(self) -> None:
        self._rows: dict[str, list[Row]] = {}
        self._failures: list[_Failure] = []
        self._lock = threading.RLock()
        self._answers: dict[str, Callable[[Mapping[str, Any]], list[tuple[Any, ...]]]] = {
            state_queries.HIGHEST_EPOCH: self._highest_epoch,
            state_queries.CURRENT_EPOCHS: self._current_epochs,
            state_queries.LAST_PROGRESS: self._last_progress,
            state_queries.FLUSHES: self._flushes,
            state_queries.RIVALS: self._rivals,
            state_queries.STATES: self._states,
            state_queries.LATE: self._late,
            state_queries.WISHES: self._wishes,
            state_queries.REFUSED_BEFORE: self._refused_before,
            state_queries.FORGOTTEN: self._forgotten,
            **identity_answers(self.latest),
        }

    def fail_next(
        self, error: JourneysError, *, table: Table | None = None, after_writing: bool = False, times: int = 1
    ) -> None:
        """Raise `error` from the next `times` calls (of `table` only: from inserts into it).

        With `after_writing` an insert is done before it fails, as when only its answer is lost.
        """
        with self._lock:
            self._failures += [_Failure(error, table.name if table else None, after_writing)] * times

    def insert(self, table: Table, columns: Sequence[Sequence[Any]]) -> int:
        """See `sinks.writer.Writer.insert`."""
        if not columns or not any(len(column) for column in columns):
            return 0
        if len(columns) != len(table.columns):
            raise Terminal(f"{table.name}: expected {len(table.columns)} columns, got {len(columns)}")
        if len({len(column) for column in columns}) > 1:
            raise Terminal(f"{table.name}: columns differ in length: {[len(column) for column in columns]}")
        with self._lock:
            failure = self._due(table.name)
            if failure and not failure.after_writing:
                raise failure.error
            rows = [dict(zip(table.columns, row, strict=True)) for row in zip(*columns, strict=True)]
            self._rows.setdefault(table.name, []).extend(rows)
            if failure:
                raise failure.error
        return len(rows)

    def query(
        self, sql: str, parameters: Mapping[str, Any] | None = None, columnar: bool = False
    ) -> list[tuple[Any, ...]]:
        """See `sinks.writer.Writer.query`; knows the state store's questions only."""
        with self._lock:
            if failure := self._due(None):
                raise failure.error
            rows = self._answer(sql, parameters or {})
        return list(zip(*rows, strict=True)) if columnar else rows

    def stream(
        self, sql: str, parameters: Mapping[str, Any] | None = None, block_rows: int = 65_536
    ) -> Iterator[list[tuple[Any, ...]]]:
        """See `sinks.writer.Writer.stream`."""
        rows = [tuple(_as_bytes(value) for value in row) for row in self.query(sql, parameters)]
        for start in range(0, len(rows), block_rows):
            yield rows[start : start + block_rows]

    def stream_about(
        self, sql: str, names: Sequence[str], parameters: Mapping[str, Any] | None = None
    ) -> Iterator[list[tuple[Any, ...]]]:
        """See `sinks.writer.Writer.stream_about`."""
        return self.stream(sql, {**(parameters or {}), "names": set(names)})

    def close(self) -> None:
        """Nothing is open."""

    def rows(self, table: Table) -> list[Row]:
        """Every row inserted into `table`, in order, by wire column."""
        with self._lock:
            return list(self._rows.get(table.name, []))

    def latest(self, table: Table) -> list[Row]:
        """What a view of `table` shows: of each key the highest version (of equals the last), unless deleted."""
        newest: dict[tuple[Any, ...], Row] = {}
        for row in self.rows(table):
            key = tuple(row[column] for column in KEYS[table.name])
            if key not in newest or _version(row) >= _version(newest[key]):
                newest[key] = row
        return [row for _, row in sorted(newest.items()) if not row.get("_is_deleted")]

    def _due(self, table: str | None) -> _Failure | None:
        for index, failure in enumerate(self._failures):
            if failure.table in (None, table):
                return self._failures.pop(index)
        return None

    def _answer(self, sql: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        if answer := self._answers.get(sql):
            return answer(parameters)
        if sql == decided_between(parameters.get("ranges", ())):
            return decided_in(self.latest(IDENTITY_OWNERS), parameters["ranges"])
        for table, column in state_queries.IDENTITIES:
            if f"FROM {table.name} FINAL" in sql and parameters.get("ranges"):
                return self._unfinished(table, column, parameters)
        raise Terminal(f"MemoryWriter cannot answer: {sql}")

    def _wishes(self, asked: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        rows = self.latest(PROMISES)
        return [(r["customer_id"], r["subject"]) for r in rows if r["kind"] == "restock"]

    def _refused_before(self, asked: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        place = asked["topic"], asked["partition"]
        rows = [row for row in self.latest(DEAD_LETTERS) if (row["topic"], row["partition"]) == place]
        return [(row["offset"], row["reason"]) for row in rows if asked["from"] <= row["offset"] < asked["to"]]

    def _forgotten(self, asked: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        return [(row["identifier_hash"],) for row in self.latest(FORGOTTEN_IDENTIFIERS)]

    def _progress(self, asked: Mapping[str, Any]) -> list[Row]:
        return [
            row
            for row in self.rows(PARTITION_PROGRESS)
            if row["consumer_group"] == asked["group"] and asked.get("partition") in (None, row["partition"])
        ]

    def _highest_epoch(self, asked: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        return [(max((row["epoch"] for row in self._progress(asked)), default=0),)]

    def _current_epochs(self, asked: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        epochs: dict[int, int] = {}
        for row in self._progress(asked):
            if row["partition"] in asked["partitions"]:
                epochs[row["partition"]] = max(row["epoch"], epochs.get(row["partition"], 0))
        return list(epochs.items())

    def _last_progress(self, asked: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        rows = sorted(self._progress(asked), key=lambda row: (row["epoch"], row["flush"]))
        return [(row["partition_time_ms"], row["positions"]) for row in rows[-1:]]

    def _flushes(self, asked: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        last: dict[int, int] = {}
        for row in self._progress(asked):
            last[row["epoch"]] = max(row["flush"], last.get(row["epoch"], 0))
        return sorted(last.items())

    def _rivals(self, asked: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        rows = self._progress(asked)
        return [(sum(row["epoch"] >= asked["epoch"] and row["worker"] != asked["worker"] for row in rows),)]

    def _states(self, asked: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        columns = ("customer_key", "segment", "key_hash", "next_due_ms", "blob")
        return [
            tuple(row[column] for column in columns)
            for row in self.latest(CUSTOMER_STATE)
            if row["key_hash"] % asked["partitions"] == asked["partition"]
        ]

    def _late(self, asked: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        place = asked["topic"], asked["partition"]
        found: dict[tuple[Any, ...], list[Row]] = {}
        for row in self.rows(TOUCHPOINTS):
            is_meant = asked["from"] <= row["_offset"] < asked["to"] and not row["_is_deleted"]
            if is_meant and (row["_topic"], row["_partition"]) == place:
                found.setdefault((row["source"], row["event_id"], row["occurred_at_ms"]), []).append(row)
        late = [
            (*key, max(row["_offset"] for row in rows))
            for key, rows in found.items()
            if all(row["late"] for row in rows)
        ]
        return sorted(late, key=lambda row: row[3])

    def _unfinished(self, table: Table, column: str, asked: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        return [
            (row["customer_id"], str(UUID(row[column])))
            for row in self.latest(table)
            if row["_partition"] == asked["partition"] and is_in_ranges(row["_version"], asked["ranges"])
        ]


def _version(row: Row) -> int:
    """As the server derives it, see `sinks.tables`."""
    if "quantity_text" in row:
        return 2**63 - 1 - int(row["received_at_ms"])
    if "received_at_ms" in row:
        received = 2 * (2305843009213693951 - int(row["received_at_ms"]))
        in_time, moves = 1 - int(row["late"]), int(row["_moves"])
        return (in_time << 63) + received + (moves << 44) + int(row["_is_deleted"])
    return int(row["_version"] if "_version" in row else row.get("flush", 0))


def _as_bytes(value: Any) -> Any:
    return value.encode() if isinstance(value, str) else value
