"""Touchpoints inserted as fast as the platform's own writer can, alone and while somebody asks."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from benchmarks.loading import load
from sinks.memory import MemoryWriter
from sinks.tables import TOUCHPOINTS, Table
from sinks.writer import ClickHouseWriter

CUSTOMER = TOUCHPOINTS.columns.index("customer_id")
Columns = Sequence[Sequence[Any]]


class _Recorder(MemoryWriter):
    """Keeps the blocks of touchpoints that a worker would have sent."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks: list[Columns] = []

    def insert(self, table: Table, columns: Columns) -> int:
        if table is TOUCHPOINTS:
            self.blocks.append([list(column) for column in columns])
        return super().insert(table, columns)


def record_blocks(touchpoints: Iterable[Mapping[str, Any]]) -> list[Columns]:
    """What the flushes of a worker that stitches these touchpoints send to their table."""
    recorder = _Recorder()
    load(recorder, touchpoints)
    return recorder.blocks


class Inserter:
    """Inserts blocks again and again, each time of other customers, in a thread of its own."""

    def __init__(self, writer: ClickHouseWriter, blocks: Sequence[Columns]) -> None:
        self._writer = writer
        self._blocks = blocks
        self._round = 0

    def rate_alone(self, seconds: float) -> float:
        """Rows a second in `seconds` with nothing beside."""
        began, rows = time.perf_counter(), 0
        while time.perf_counter() - began < seconds:
            rows += self._insert()
        return rows / (time.perf_counter() - began)

    @contextmanager
    def beside(self) -> Iterator[list[float]]:
        """Insert while the caller's block runs; afterwards the list holds rows a second. Raises what that did."""
        rates: list[float] = []
        failures: list[Exception] = []
        is_over = threading.Event()

        def run() -> None:
            began, rows = time.perf_counter(), 0
            try:
                while not is_over.is_set():
                    rows += self._insert()
                rates.append(rows / (time.perf_counter() - began))
            except Exception as error:
                failures.append(error)

        thread = threading.Thread(target=run, name="inserter")
        thread.start()
        try:
            yield rates
        finally:
            is_over.set()
            thread.join()
        if failures:
            raise failures[0]

    def _insert(self) -> int:
        self._round += 1
        block = list(self._blocks[self._round % len(self._blocks)])
        block[CUSTOMER] = [f"{customer}-again-{self._round}" for customer in block[CUSTOMER]]
        return self._writer.insert(TOUCHPOINTS, block)
