"""The processes of a backfill: each loads pieces and stitches ranges; the parent hands them out and counts."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Any, TypeVar

from console.backfill_journal import PieceDone, Range, StitchedRange
from console.backfill_load import load_piece
from console.backfill_setup import Bench, Claims, Setup
from console.backfill_stitch import RangeStitcher
from deploy.local import tether
from producers.history_files import Piece
from schemas.errors import Transient

LOOK_EVERY_SECONDS = 0.2
Task = TypeVar("Task")
Result = TypeVar("Result")
Observe = Callable[[int], object]
"""Told how many more rows or touchpoints are done."""


class Member:
    """What one process does, whether it is the parent itself or one that was started."""

    def __init__(self, setup: Setup, observe: Observe) -> None:
        self.bench = Bench(setup)
        self.observe = observe
        self._stitcher: RangeStitcher | None = None

    def load(self, task: tuple[Piece, Path]) -> PieceDone:
        """Load a piece; its rejected rows go to the file."""
        with _undisturbed():
            return load_piece(self.bench, *task, self.observe)

    def stitch(self, task: tuple[Range, int, Claims]) -> StitchedRange:
        """Stitch a range as the flush of this number."""
        names, flush, claims = task
        # A crew works for one run, and that under one claim.
        stitcher = self._stitcher = self._stitcher or RangeStitcher(self.bench, claims)
        with _undisturbed():
            done = stitcher.stitch(names, flush)
        self.observe(done.touchpoints)
        return done


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Look for cycles only afterwards: rows and customers form none, and there are millions to be looked at."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class Crew:
    """A context manager: on the way out no process is left."""

    def __init__(self, setup: Setup, processes: int) -> None:
        self.parent = Member(setup, lambda _: None)
        context = get_context("spawn")
        self._counts: SimpleQueue[int] = context.SimpleQueue()
        self._pool: ProcessPoolExecutor | None = None
        if processes > 1:
            given = setup, self._counts, os.getpid()
            self._pool = ProcessPoolExecutor(processes, context, _begin, given)

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        self.parent.bench.writer.close()
        if self._pool is not None:
            processes = list((self._pool._processes or {}).values())
            self._pool.shutdown(wait=False, cancel_futures=True)
            for process in processes:
                process.terminate()
            for process in processes:
                process.join()

    def load(self, tasks: Iterable[tuple[Piece, Path]], observe: Observe) -> Iterator[tuple[Any, PieceDone]]:
        """Each task with what it came to, in whatever order they are done."""
        return self._work(_load, Member.load, tasks, observe)

    def stitch(
        self, tasks: Iterable[tuple[Range, int, Claims]], observe: Observe
    ) -> Iterator[tuple[Any, StitchedRange]]:
        """The same for ranges."""
        return self._work(_stitch, Member.stitch, tasks, observe)

    def _work(
        self,
        remote: Callable[[Task], Result],
        own: Callable[[Member, Task], Result],
        tasks: Iterable[Task],
        observe: Observe,
    ) -> Iterator[tuple[Task, Result]]:
        if self._pool is None:
            self.parent.observe = observe
            for task in tasks:
                yield task, own(self.parent, task)
            return
        try:
            with _unheard():
                given = {self._pool.submit(remote, task): task for task in tasks}
            yield from self._collect(given, observe)
        except BrokenProcessPool as error:
            raise Transient("a process of the backfill was killed (short of memory?)") from error

    def _collect(self, given: dict[Future[Result], Task], observe: Observe) -> Iterator[tuple[Task, Result]]:
        left = set(given)
        while left:
            done, left = wait(left, LOOK_EVERY_SECONDS, FIRST_COMPLETED)
            while not self._counts.empty():
                observe(self._counts.get())
            for future in done:
                yield given[future], future.result()


@contextmanager
def _unheard() -> Iterator[None]:
    """Let processes start whole: a signal that comes meanwhile counts afterwards, and Ctrl-C never reaches them."""
    caught: list[int] = []
    before = {
        number: signal.signal(number, lambda came, _: caught.append(came)) for number in (signal.SIGINT, signal.SIGTERM)
    }
    # Processes inherit it. Whoever presses Ctrl-C means the parent, which ends them.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in before.items():
            signal.signal(number, handler)
        if caught:
            signal.raise_signal(caught[0])


_member: Member | None = None


def _begin(setup: Setup, counts: SimpleQueue[int], parent: int) -> None:
    tether.tie(parent)
    global _member
    _member = Member(setup, counts.put)


def _load(task: tuple[Piece, Path]) -> PieceDone:
    assert _member is not None, "a process begins before it works"
    return _member.load(task)


def _stitch(task: tuple[Range, int, Claims]) -> StitchedRange:
    assert _member is not None, "a process begins before it works"
    return _member.stitch(task)
