"""One flush: rows of all tables, customer states, then the record that it is complete. Runs in the writer thread.

Delivery: at least once. Positions are committed only after `write_flush` has returned, and every row is idempotent by
its key and version, so a flush that is cut off anywhere is redone by whoever owns the partitions next.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from faust.types import TP

from schemas.errors import Fenced, Transient
from schemas.settings import Settings
from schemas.topics import TOUCHPOINTS
from sinks import tables
from sinks.state_store import Flush as Progress
from sinks.state_store import current_epoch, record_flush
from sinks.tables import Table
from sinks.writer import Writer, retry
from streams.metrics import Metrics
from streams.partition import Partition
from streams.row_blocks import blocks
from streams.rows import Rows
from streams.rules.model import Rule

LAST_FLUSHES = 3
LIVE_WITHIN_MS = 60_000
"""A touchpoint that reached the door later than this after it happened is history, and says nothing about our speed."""
OCCURRED = tables.TOUCHPOINTS.columns.index("occurred_at_ms")
MOVES = tables.TOUCHPOINTS.columns.index("_moves")
DELETED = tables.TOUCHPOINTS.columns.index("_is_deleted")
RECEIVED = tables.TOUCHPOINTS.columns.index("received_at_ms")


@dataclass(frozen=True, slots=True)
class Flush:
    """What one flush writes and, once it is written, commits."""

    rows: Rows
    progress: tuple[Progress, ...]
    positions: dict[TP, int]

    @property
    def occurred_ms(self) -> Sequence[int]:
        """When its touchpoints happened."""
        return self.rows.touchpoints.columns[OCCURRED]

    @property
    def received_ms(self) -> Sequence[int]:
        """When they reached the door, in the same order."""
        return self.rows.touchpoints.columns[RECEIVED]

    @property
    def moved(self) -> Sequence[int]:
        """How often each had been sent on; retractions count as moved."""
        columns = self.rows.touchpoints.columns
        return list(map(max, columns[MOVES], columns[DELETED]))

    @property
    def row_count(self) -> int:
        """Touchpoints in it."""
        return len(self.rows.touchpoints)


def gather(
    partitions: Iterable[Partition], committing: Container[int], rules: Mapping[str, Rule], now_ms: int
) -> tuple[Rows, list[Progress]]:
    """What partitions have that is unwritten, and how far those are then that have some or are to be committed."""
    rows, progress = Rows(), list[Progress]()
    for each in partitions:
        if each.is_unwritten or each.number in committing:
            each.gather(rows, rules, now_ms)
            # What waits will be judged by the time at which it came, by whoever reads it again.
            time_ms = min(each.time_ms, each.waiting.first_reached_ms)
            progress.append((each.number, each.epoch, each.flushes, time_ms, written_positions(each)))
    return rows, progress


def written_positions(partition: Partition) -> dict[str, int]:
    """The offset after what the next flush has all of, by topic: what waits is read again by the next worker."""
    first = partition.waiting.first_offset
    return {**partition.positions, **({} if first is None else {TOUCHPOINTS: first})}


def part_positions(uncommitted: Mapping[TP, int], progress: Iterable[Progress]) -> tuple[dict[TP, int], dict[TP, int]]:
    """What can be committed with a flush, and what is to be committed with the next, as something before it waits."""
    written = {number: positions for number, *_, positions in progress}
    committed = {tp: min(offset, written[tp.partition][tp.topic]) for tp, offset in uncommitted.items()}
    return committed, {tp: offset for tp, offset in uncommitted.items() if committed[tp] < offset}


def is_flush_due(waiting: int, settings: Settings, left: int) -> bool:
    """Whether so many rows are enough for a flush, with so many records still to be read.

    While there is a backlog flushes are large, as each writes a customer once. Towards its end they become smaller, so
    that they are written while the rest is read and little has to be written at last.
    """
    # While one flush is written there must be room for the next.
    most = min(settings.flush_rows, settings.buffer_rows // 2)
    return waiting >= (min(most, max(most // LAST_FLUSHES, left)) if left else most)


class Patience:
    """Sleeps between attempts until told to give up. Thread-safe."""

    def __init__(self) -> None:
        self._given_up = threading.Event()

    def give_up(self) -> None:
        """End the present and every later wait with `Transient`."""
        self._given_up.set()

    def sleep(self, seconds: float) -> None:
        """Wait. Raises Transient once `give_up` was called."""
        if self._given_up.wait(seconds):
            raise Transient("gave up waiting for ClickHouse: the partitions are going away")


def write_flush(
    writer: Writer,
    flush: Flush,
    group: str,
    worker: str,
    patience: Patience,
    on_wait: Callable[[Transient, int, float], object],
) -> None:
    """Write a flush, trying again while ClickHouse is away. Raises Fenced, Terminal, or Transient when told to stop."""

    def attempt(operation: Callable[[], Any]) -> Any:
        return retry(operation, now=time.monotonic, sleep=patience.sleep, give_up_after_seconds=None, on_wait=on_wait)

    def insert(table: Table, columns: Sequence[Sequence[Any]]) -> None:
        # Before each, and again after each wait: ClickHouse or this process may have stood still for long.
        _check_epochs(writer, flush, group)
        writer.insert(table, columns)

    def record() -> None:
        _check_epochs(writer, flush, group)
        record_flush(writer, group, flush.progress, worker)

    for table, columns in blocks(flush.rows):
        if columns and len(columns[0]):
            attempt(lambda table=table, columns=columns: insert(table, columns))  # type: ignore[misc]
    attempt(record)


def observe_flush(metrics: Metrics, flush: Flush, seconds: float, now_ms: int) -> None:
    """Tell the metrics how long a flush took, and how old its live touchpoints have become."""
    metrics.flush_seconds.observe(seconds)
    metrics.flushes.inc()
    metrics.last_progress.set_to_current_time()
    live = [
        (now_ms - occurred_ms) / 1000
        for occurred_ms, received_ms, is_old in zip(flush.occurred_ms, flush.received_ms, flush.moved, strict=True)
        if received_ms - occurred_ms <= LIVE_WITHIN_MS and not is_old
    ]
    if live:
        metrics.event_to_queryable.observe(live)


def _check_epochs(writer: Writer, flush: Flush, group: str) -> None:
    mine = {partition: epoch for partition, epoch, *_ in flush.progress}
    for partition, epoch in current_epoch(writer, group, list(mine)).items():
        if epoch > mine[partition]:
            raise Fenced(f"partition {partition} was claimed by another worker (epoch {epoch} over {mine[partition]})")
