"""Loading one piece of a file: touchpoints, links and facts into ClickHouse, and what is rejected into a file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from console.backfill_journal import PieceDone
from console.backfill_setup import Bench
from producers.history_columns import read_columns
from producers.history_files import FileRow, Piece, gather_fields, is_parquet, read_rows, read_tables, rows_of
from producers.mapped_rows import Rejected
from producers.replay_progress import append_rejected
from schemas.errors import Misconfigured, Undecodable
from schemas.fact import check_fact, is_fact
from streams.backfill.columns import Accepted
from streams.backfill.rows import Batch, FileRecord, links_in, note_newest
from streams.fact_rows import fact_row
from streams.rows import Rows, link_row

TABLE_ROWS = 50_000
INSERT_ROWS = 250_000
"""Rows that wait to be inserted together. Fewer mean more parts for the server to merge."""
MANY_ROWS = 10_000
"""A piece of which so many rows were read, and more than half rejected, is not what its mapping says."""
SAMPLE_ROWS = 1_000
Observe = Callable[[int], object]


def check_sample(bench: Bench, piece: Piece) -> None:
    """Judge the beginning of a piece, and write nothing. Raises `Misconfigured` where its mapping does not fit."""
    _Loading(bench, piece, Path(os.devnull), lambda _: None).check_sample()


def load_piece(bench: Bench, piece: Piece, rejected: Path, observe: Observe) -> PieceDone:
    """Load a piece. Loading it again changes nothing. Raises `Misconfigured`, Transient and Terminal."""
    return _Loading(bench, piece, rejected, observe).load()


@dataclass
class _Loading:
    bench: Bench
    piece: Piece
    rejected_file: Path
    observe: Observe
    done: PieceDone = field(default_factory=PieceDone)
    batch: Batch = field(default_factory=Batch)
    facts: list[tuple[Any, ...]] = field(default_factory=list)
    rejected: list[dict[str, Any]] = field(default_factory=list)
    rejected_bytes: int = 0

    def check_sample(self) -> None:
        for rows in self._sample():
            self._take_rows(rows)
            self.done.rows += len(rows)
            if self.done.rejected * 2 <= self.done.rows or self.done.rows >= TABLE_ROWS:
                break
        self._check_fit()

    def _sample(self) -> Iterator[list[FileRow]]:
        if self._has_tables:
            for table, line in self._tables(SAMPLE_ROWS):
                yield self._read(table, range(len(table)), line)
        else:
            yield from read_rows(self.piece, self.bench.setup.mapping, SAMPLE_ROWS)

    @property
    def _has_tables(self) -> bool:
        return is_parquet(self.piece.path) and self.bench.setup.mapping is None

    def _tables(self, rows: int) -> Iterator[tuple[pa.Table, int]]:
        """Tables of at most so many rows, each with the number of its first."""
        line = self.piece.first_line
        for table in read_tables(self.piece, rows):
            yield table, line
            line += len(table)

    def load(self) -> PieceDone:
        self.rejected_file.unlink(missing_ok=True)
        if self._has_tables:
            for table, line in self._tables(TABLE_ROWS):
                self._take_table(table, line)
        else:
            for rows in read_rows(self.piece, self.bench.setup.mapping, TABLE_ROWS):
                self._take_rows(rows)
                self._finish(len(rows))
        self._write()
        return self.done

    def _take_table(self, table: pa.Table, first_line: int) -> None:
        columns = None if len(self.bench.doorman.block_list) else read_columns(table)
        if columns is None:
            self._take_rows(self._read(table, range(len(table)), first_line))
            self._finish(len(table))
            return
        setup = self.bench.setup
        accepted = self.bench.judge.judge(columns, setup.started_ms, setup.started_ms)
        self._add(accepted, first_line)
        self.bench.doorman.note_teachings(self.batch, accepted.teachings)
        certain = set(accepted.places)
        if len(certain) < len(table):
            places = [place for place in range(len(table)) if place not in certain]
            self._take_rows(self._read(table.take(places), places, first_line))
        self._finish(len(table))

    def _read(self, table: pa.Table, places: Sequence[int], first_line: int) -> list[FileRow]:
        rows = []
        for place, row in zip(places, rows_of(table, 0), strict=True):
            line = first_line + place
            try:
                rows.append(FileRow(line, gather_fields(row.values), row.raw, row.fault))
            except Rejected as error:
                rows.append(FileRow(line, None, row.raw, error))
        return rows

    def _add(self, accepted: Accepted, first_line: int) -> None:
        count = len(accepted.keys)
        place = [self.bench.setup.topic] * count, [self.piece.number] * count
        offsets = [first_line + each for each in accepted.places]
        block = [*accepted.columns, *place, offsets, [0] * count]
        for column, values in zip(self.batch.touchpoints.columns, block, strict=True):
            column.extend(values)
        note_newest(self.batch.newest_ms, self.bench.setup.partitions, accepted.keys, accepted.columns[1])

    def _take_rows(self, rows: Sequence[FileRow]) -> None:
        setup, records, raws = self.bench.setup, [], {}
        for row in rows:
            try:
                if row.fault is not None:
                    raise row.fault
                touchpoint = row.touchpoint or {}
                if is_fact(touchpoint):
                    self._take_fact(touchpoint, row.line)
                else:
                    records.append(FileRecord(row.line, _encode(touchpoint), setup.started_ms))
                    raws[row.line] = row.raw
            except (Rejected, Undecodable) as error:
                self._reject(row.line, error.reason, error.detail, row.raw)
        self.bench.doorman.take(self.batch, self.piece.number, records, setup.started_ms)
        for refusal in self.batch.refusals:
            self._reject(refusal.offset, refusal.reason, refusal.detail, raws[refusal.offset])
        self.batch.refusals.clear()

    def _take_fact(self, found: dict[str, Any], line: int) -> None:
        row = fact_row(check_fact(found), line, self.bench.setup.started_ms)
        self.facts.append((*row[:-3], self.bench.setup.topic, self.piece.number, line))

    def _reject(self, line: int, reason: str, detail: str, raw: Any) -> None:
        shown = {"file": str(self.piece.path), "line": line, "reason": reason, "detail": detail, "row": raw}
        self.rejected.append(shown)
        self.done.reasons[reason] = self.done.reasons.get(reason, 0) + 1
        self.done.first.setdefault(reason, f"line {line}: {detail}")

    def _finish(self, rows: int) -> None:
        """Count some rows that were read, and write when enough wait."""
        self.done.rows += rows
        self.observe(rows)
        self._check_fit()
        if len(self.batch.touchpoints) >= INSERT_ROWS:
            self._write()

    def _check_fit(self) -> None:
        if self.done.rows >= MANY_ROWS and self.done.rejected * 2 > self.done.rows:
            said = "; ".join(f"{reason}, {detail}" for reason, detail in list(self.done.first.items())[:3])
            raise Misconfigured(
                f"{self.piece.path}: {self.done.rejected:,} of {self.done.rows:,} rows are no touchpoints: {said}: "
                "does the mapping fit (--mapping)?"
            )

    def _write(self) -> None:
        batch, self.batch = self.batch, Batch()
        facts, self.facts = self.facts, []
        links = list(map(link_row, links_in(batch)))
        self.bench.write(Rows(touchpoints=batch.touchpoints, identity_links=links, facts=facts))
        by_line = sorted(self.rejected, key=lambda row: int(row["line"]))
        self.rejected_bytes = append_rejected(self.rejected_file, self.rejected_bytes, by_line)
        self.rejected = []
        counted = PieceDone(
            accepted=len(batch.touchpoints), facts=len(facts), forgotten=batch.forgotten, newest_ms=batch.newest_ms
        )
        self.done.add(counted)


_json = msgspec.json.Encoder().encode


def _encode(touchpoint: dict[str, Any]) -> bytes:
    try:
        return _json(touchpoint)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise Rejected("invalid_json", f"no JSON can say it: {error}") from error
