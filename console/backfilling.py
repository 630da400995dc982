"""Backfill: history from files into finished journeys, past Kafka, by the workers' rules and while no worker runs.

Three steps, each of which may be done again: rows become touchpoints under the identifiers that they name; links
decide whose these are, and their history moves there; customers are stitched, range after range. A journal, begun once
the files are known to be readable, says what is done. The run owns all partitions of the consumer group as a worker
would, so a worker that starts meanwhile ends it.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any

from console.backfill_crew import Crew
from console.backfill_journal import Range, StitchedRange, find_unfinished
from console.backfill_link import LINK_FLUSH, Linking
from console.backfill_load import check_sample
from console.backfill_run import Result, Run
from console.backfill_setup import Bench, Claims, Setup
from producers.history_files import check_end
from schemas.settings import Settings
from sinks import backfill_queries as queries
from sinks.state_queries import CLOCK_MS, HIGHEST_EPOCH
from sinks.state_store import claim_epoch, record_flush
from streams.backfill.links import Change

SAMPLES_PER_RANGE = 50
Tell = Callable[[str, int, int], object]
"""Told what is being done, how far it is, and of how much."""
Send = Callable[[Sequence[tuple[str, str, int]]], object]
"""Has workers give back what former owners have of identifiers, see `Journal.releases`."""


class Backfill:
    """Does a run. `options` are the driver's. Raises `Misconfigured`, Fenced, Transient and Terminal."""

    def __init__(
        self, run: Run, settings: Settings, options: Mapping[str, Any], partitions: int, tell: Tell, send: Send
    ) -> None:
        self._wanted = run.wanted
        self._tell = tell
        self._send = send
        self._pieces = run.pieces
        self._file = run.file
        self._journal = run.journal
        self._resumed = run.resumed
        self._setup = Setup(
            options, settings, partitions, f"backfill-{run.name}", run.journal.started_ms, run.journal.since_ms,
            run.wanted.mapping,
        )  # fmt: skip
        self._group = settings.consumer_group
        self._worker = f"backfill {socket.gethostname()}/{os.getpid()}"

    def run(self) -> Result:
        """Do what is left."""
        began = time.monotonic()
        self._prepare()
        with Crew(self._setup, self._wanted.processes) as crew:
            self._load(crew)
            claims = self._claim(crew)
            if self._journal.ranges is None:
                self._link(crew, claims)
                claims = self._with_times(claims)
            self._stitch(crew, claims)
        self._send(self._journal.releases)
        rejected = self._file.join_rejected([piece.name for piece in self._pieces])
        self._journal.is_done = True
        self._file.save(self._journal)
        return Result(
            self._journal.loaded, self._journal.result, time.monotonic() - began, self._resumed, rejected,
            len(self._journal.releases),
        )  # fmt: skip

    def _prepare(self) -> None:
        """Find out what is known, before anything is written."""
        bench, journal = Bench(self._setup), self._journal
        with closing(bench.writer):
            if not self._resumed:
                self._check_files(bench)
                journal.epoch_before = bench.attempt(lambda: self._highest_epoch(bench))
                ((is_empty,),) = bench.attempt(lambda: bench.writer.query(queries.IS_EMPTY))
                ((since_ms,),) = bench.attempt(lambda: bench.writer.query(CLOCK_MS))
                # What a run that was cut off has loaded may be the only copy of what this one loads again.
                loaded_ms = [each.since_ms for _, each in find_unfinished(self._wanted.directory) if each.since_ms]
                journal.is_first, journal.since_ms = bool(is_empty), min([since_ms, *loaded_ms])
            # A broken rule is told before anything begins.
            assert bench.configuration is not None
        self._setup = replace(self._setup, since_ms=journal.since_ms)
        self._file.save(journal)

    def _check_files(self, bench: Bench) -> None:
        """What is wrong with the files as a whole is told before a journal says that they are to be loaded."""
        firsts = {piece.number: piece for piece in reversed(self._pieces)}
        for number in sorted(firsts):
            self._tell(f"looking into {firsts[number].path.name}", 0, 0)
            check_end(firsts[number].path)
            check_sample(bench, firsts[number])

    def _highest_epoch(self, bench: Bench) -> int:
        return int(bench.writer.query(HIGHEST_EPOCH, {"group": self._group})[0][0])

    def _load(self, crew: Crew) -> None:
        total = sum(piece.size for piece in self._pieces)
        # Another release may have cut the files otherwise: what it has loaded is loaded again, and counts once.
        for name in self._journal.pieces.keys() - {piece.name for piece in self._pieces}:
            del self._journal.pieces[name]
            self._file.rejected_of(name).unlink(missing_ok=True)
        left = [piece for piece in self._pieces if piece.name not in self._journal.pieces]
        done = total - sum(piece.size for piece in left)
        observe = _Counter(self._tell, "loading", done, total if all(p.groups is not None for p in left) else 0)
        tasks = [(piece, self._file.rejected_of(piece.name)) for piece in left]
        for (piece, _), found in crew.load(tasks, observe):
            self._journal.pieces[piece.name] = found
            self._file.save(self._journal)

    def _claim(self, crew: Crew) -> Claims:
        bench, journal = crew.parent.bench, self._journal
        claims = [
            bench.attempt(partial(claim_epoch, bench.writer, self._group, number, self._worker))
            for number in range(self._setup.partitions)
        ]
        epochs = [claim.epoch for claim in claims]
        # Epochs are one sequence: where they do not follow those of this run, somebody else has worked in between, and
        # there may be more known than this run has loaded.
        since = max([journal.epoch_before, *journal.epochs]) + 1
        journal.is_first = journal.is_first and epochs == list(range(since, since + len(epochs)))
        journal.epochs = epochs
        self._file.save(journal)
        positions, known_ms = [claim.positions for claim in claims], [claim.partition_time_ms for claim in claims]
        return self._with_times(Claims(epochs, positions, known_ms, journal.is_first))

    def _with_times(self, claims: Claims) -> Claims:
        """The claims with the time that history brings each partition to: what is due later, workers find."""
        loaded, moved = self._journal.loaded.newest_ms, self._journal.newest_moved_ms
        times = [
            max(known_ms, loaded.get(number, 0), moved.get(number, 0))
            for number, known_ms in enumerate(claims.times_ms)
        ]
        return replace(claims, times_ms=times)

    def _link(self, crew: Crew, claims: Claims) -> None:
        linking = Linking(crew.parent.bench, claims, lambda what: self._tell(what, 0, 0), self._keep_releases)
        linking.run()
        self._journal.newest_moved_ms = linking.newest_moved_ms()
        self._journal.ranges = self._cut_ranges(crew)
        self._file.save(self._journal)

    def _keep_releases(self, changes: list[Change]) -> None:
        if changes:
            given = [(change.former, change.decided.identifier, change.decided.version) for change in changes]
            self._journal.releases = [*self._journal.releases, *given]
            self._file.save(self._journal)

    def _cut_ranges(self, crew: Crew) -> list[Range]:
        bench = crew.parent.bench
        size = self._wanted.range_touchpoints
        count = max(1, self._journal.loaded.accepted // size)
        asked = {"size": SAMPLES_PER_RANGE * count, "since_ms": self._setup.since_ms}
        ((found, sample),) = bench.attempt(lambda: bench.writer.query(queries.SAMPLE, asked))
        names = sorted(sample)
        wanted = max(1, found // size)
        bounds = sorted({names[len(names) * each // wanted] for each in range(1, wanted)} - {""}) if names else []
        return list(zip(["", *bounds], [*bounds, ""], strict=True))

    def _stitch(self, crew: Crew, claims: Claims) -> None:
        ranges = self._journal.ranges or []
        left = [place for place in range(len(ranges)) if place not in self._journal.stitched]
        total = max(self._journal.loaded.accepted, self._journal.result.touchpoints)
        observe = _Counter(self._tell, "stitching", self._journal.result.touchpoints, total)
        tasks = [(ranges[place], LINK_FLUSH + 1 + number, claims) for number, place in enumerate(left)]
        self._record(crew, claims, LINK_FLUSH)
        finished: dict[int, StitchedRange] = {}
        complete = LINK_FLUSH
        for (_, flush, _), found in crew.stitch(tasks, observe):
            finished[flush] = found
            while complete + 1 in finished:
                complete += 1
                self._journal.stitched[left[complete - LINK_FLUSH - 1]] = finished.pop(complete)
            # In this order: a worker that takes over takes back what lies behind the flush that was recorded last.
            self._record(crew, claims, complete)
            self._file.save(self._journal)

    def _record(self, crew: Crew, claims: Claims, flush: int) -> None:
        """State that everything up to a flush is written: a worker that takes over goes on from there."""
        bench = crew.parent.bench
        bench.check_claims(claims)
        rows = [
            (number, epoch, flush, claims.times_ms[number], claims.positions[number])
            for number, epoch in enumerate(claims.epochs)
        ]
        bench.attempt(lambda: record_flush(bench.writer, self._group, rows, self._worker))


class _Counter:
    """Counts up what is done and tells it."""

    def __init__(self, tell: Tell, what: str, done: int, total: int) -> None:
        self._tell = tell
        self._what = what
        self._done = done
        self._total = total

    def __call__(self, more: int) -> None:
        self._done += more
        self._tell(self._what, self._done, self._total)
