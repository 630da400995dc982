"""Running a back-test over ClickHouse, on several cores. It reads, and touches nothing that is live."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from schemas.errors import JourneysError, Terminal, Transient
from sinks.writer import ClickHouseWriter, Writer
from streams import backtest_queries as queries
from streams.backtest import Episodes, RuleChange, Trial, Window, compare
from streams.backtest_history import read_customers, read_facts
from streams.backtest_needs import Needs, Share
from streams.backtest_tally import Counting, Tally
from streams.rules.loading import RuleSet
from streams.states import EpisodeState
from streams.stitching import StitchingRules

WORTH_A_PROCESS = 250_000
"""Touchpoints for which starting a process pays."""
TOLD_EVERY = 5_000
"""Touchpoints after which progress is told."""
Observe = Callable[[int], object]
"""Is told how many more touchpoints are done."""


@dataclass(frozen=True)
class Task:
    """What is tried: a change, over a window, with journeys as these rules stitch them."""

    change: RuleChange
    window: Window
    stitching: StitchingRules
    most_examples: int = 0


@dataclass(frozen=True)
class Span:
    """How far history reaches, epoch milliseconds."""

    first_ms: int
    newest_ms: int

    def until_ms(self, clock_ms: int, live_within_ms: int) -> int:
        """The time of a worker at the end of history: the clock's where it is near, else the newest touchpoint's."""
        return clock_ms if 0 <= clock_ms - self.newest_ms <= live_within_ms else self.newest_ms


def read_span(writer: Writer) -> Span | None:
    """How far history reaches; None where there is none."""
    ((first_ms, newest_ms, count),) = writer.query(queries.SPAN)
    return Span(first_ms, newest_ms) if count else None


def count_touchpoints(writer: Writer, task: Task) -> int:
    """About how many touchpoints must be read."""
    needs = Needs.of(task.change.plans, task.window, task.stitching)
    return int(writer.query(*queries.count_touchpoints(needs))[0][0])


def count_journeys(writer: Writer, window: Window) -> int:
    """How many journeys had a touchpoint in the window, or went on over it."""
    return int(writer.query(*queries.count_journeys(window))[0][0])


def choose_processes(touchpoints: int, cores: int) -> int:
    """How many processes are worth it."""
    return max(1, min(cores, touchpoints // WORTH_A_PROCESS))


def reading_only(options: Mapping[str, Any]) -> dict[str, Any]:
    """The driver's options for a connection on which the server refuses to write."""
    return {**options, "settings": {**options.get("settings", {}), "readonly": 2}}


class Run:
    """A task on one connection."""

    def __init__(self, writer: Writer, task: Task) -> None:
        self._writer = writer
        self._window = task.window
        self.needs = Needs.of(task.change.plans, task.window, task.stitching)
        self._trial = Trial(task.change, task.stitching, read_facts(writer, self.needs))

    def live(self, share: Share) -> Iterator[tuple[str, int, Episodes, Episodes]]:
        """Each customer, how many touchpoints that was, and the episodes before and after the change."""
        until_ms = self._window.until_ms
        for customer, touches in read_customers(self._writer, self.needs, share):
            yield customer, len(touches), *self._trial.live(customer, touches, until_ms)


def find_episodes(
    writer: Writer, rule_set: RuleSet, window: Window, stitching: StitchingRules
) -> dict[str, tuple[str, EpisodeState]]:
    """The episodes that the rules find in a window, by id: (customer, state as of the window's end)."""
    run = Run(writer, Task(RuleChange(rule_set), window, stitching))
    return {
        episode_id: (customer, state)
        for customer, _, found, _ in run.live(Share())
        for episode_id, state in found.items()
        if window.holds(state.opened_ms)
    }


def run_share(writer: Writer, task: Task, share: Share, observe: Observe) -> Tally:
    """Try a task on a share of the customers. Raises Transient and Terminal as the writer does."""
    acknowledged = frozenset(identity for (identity,) in writer.query(queries.ACKNOWLEDGED))
    plans = task.change.plans
    counting = Counting(plans[0].rules, plans[-1].rules, acknowledged, task.most_examples)
    done = 0
    for customer, touchpoints, before, after in Run(writer, task).live(share):
        counting.count(customer, compare(before, after, task.window), touchpoints)
        done += touchpoints
        if done >= TOLD_EVERY:
            observe(done)
            done = 0
    observe(done)
    return counting.tally


def run_task(options: Mapping[str, Any], task: Task, processes: int, observe: Observe) -> Tally:
    """Try a task on all customers, in so many processes. `options`: the driver's.

    Raises Transient and Terminal. Whatever it raises, no process is left.
    """
    if processes > 1:
        return _Crew(options, task, processes).work(observe)
    writer = ClickHouseWriter(options)
    try:
        return run_share(writer, task, Share(), observe)
    finally:
        writer.close()


class _Crew:
    """Processes, each with its share of the customers."""

    def __init__(self, options: Mapping[str, Any], task: Task, count: int) -> None:
        context = get_context("spawn")
        sent = replace(task, change=task.change.unprepared())
        self._processes: list[BaseProcess] = []
        self._channels: list[Connection] = []
        for number in range(count):
            channel, theirs = context.Pipe(duplex=False)
            given = dict(options), sent, Share(number, count), theirs
            process = context.Process(target=_work_share, args=given, daemon=True)
            process.start()
            theirs.close()
            self._processes.append(process)
            self._channels.append(channel)

    def work(self, observe: Observe) -> Tally:
        """All of what they find."""
        whole: Tally | None = None
        try:
            while self._channels:
                for channel in wait(self._channels):
                    assert isinstance(channel, Connection)
                    found = self._receive(channel)
                    if isinstance(found, int):
                        observe(found)
                        continue
                    self._channels.remove(channel)
                    if whole is None:
                        whole = found
                    else:
                        whole.merge(found)
        finally:
            for process in self._processes:
                process.terminate()
                process.join()
        assert whole is not None, "there is at least one process"
        return whole

    @staticmethod
    def _receive(channel: Connection) -> int | Tally:
        try:
            found: int | Tally | JourneysError = channel.recv()
        except EOFError as error:
            raise Terminal("a process of the back-test ended before it was done") from error
        if isinstance(found, JourneysError):
            raise found
        return found


def _work_share(options: Mapping[str, Any], task: Task, share: Share, channel: Connection) -> None:
    """What a process does: sends how many touchpoints are done now and then, and at last its tally or an error."""
    # Who presses Ctrl-C means the parent, which ends us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    writer = ClickHouseWriter(options)
    try:
        channel.send(run_share(writer, task, share, channel.send))
    except BrokenPipeError:
        pass
    except (Transient, Terminal) as error:
        channel.send(error)
    except Exception as error:
        told = f"unexpected {type(error).__name__}: {error} (--processes 1 --debug shows where)"
        channel.send(Terminal(told))
    finally:
        writer.close()
