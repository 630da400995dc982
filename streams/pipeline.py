"""The pipeline: chunks from Faust through the partitions into flushes; the only place where they meet I/O.

Guarantee: a touchpoint's position is committed only after everything it caused is in ClickHouse and every record it
caused is acknowledged by Kafka. Whatever the worker cannot do for good ends the process with a non-zero status at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import cast

import faust
from faust.types import TP

from schemas.errors import Transient
from schemas.settings import Settings
from schemas.topics import IDENTITY_LINKS, TOUCHPOINTS, TOUCHPOINTS_REKEYED
from sinks.writer import Result, Writer, retry
from streams.alerting import Alerting, Told
from streams.assignment import adopt_orphans, find_orphans, take_over
from streams.clock import EndOffsets, read_clock_ms
from streams.configuration import Configuration
from streams.decoding import Decoder
from streams.episodes import NO_CONTEXT
from streams.errands import Errands
from streams.exchange import Exchange
from streams.flushing import Flush, Patience, gather, is_flush_due, observe_flush, part_positions, write_flush
from streams.friction.plan import Plan
from streams.intake import Intake
from streams.metrics import Metrics
from streams.outbox import Outbox
from streams.outcome import Outcome, describe_late
from streams.partition import Partition
from streams.records import DecodedChunk, Record
from streams.refusals import Refusals
from streams.silence import SOURCE_SILENT
from streams.states import EpisodeState
from streams.touch import Touch
from streams.transport import ChunkConsumer, topic_partitions

TOPICS = (TOUCHPOINTS, TOUCHPOINTS_REKEYED, IDENTITY_LINKS)
TICK_SECONDS, FIRST_PARTITION, MORE_QUESTIONS = 0.2, 0, 2
REVOKE_SECONDS, STOP_SECONDS = 5.0, 20.0
LOOK_ON_CUSTOMERS = 2_000
"""So many customers are looked at in each tick after the rules have changed."""


class Pipeline:
    """Everything one worker does between Kafka and ClickHouse, on the event loop of its Faust app."""

    def __init__(
        self, settings: Settings, configuration: Configuration, app: faust.App, writer: Writer, outbox: Outbox,
        ends: EndOffsets, metrics: Metrics, fail: Callable[[BaseException], object],
    ) -> None:  # fmt: skip
        self._settings = settings
        self._configuration = configuration
        self._app = app
        self._writer = writer
        self._outbox = outbox
        self._ends = ends
        self._metrics = metrics
        self._fail = fail
        self._name = f"{socket.gethostname()}/{os.getpid()}"
        self._decoder = Decoder(configuration.door, configuration.policy.plan.keeps)
        self._partitions: dict[int, Partition] = {}
        self._exchange = Exchange(self._partitions)
        self._arriving: dict[int, asyncio.Task[Partition]] = {}
        self.refusals = Refusals(outbox, metrics, writer, settings)
        self._uncommitted: dict[TP, int] = {}
        self._writing_rows = self.tenure = 0
        # What a chunk did and what it published must be in the same flush: nothing is gathered in between.
        self._step = asyncio.Lock()
        self._flush_lock = asyncio.Lock()
        self._flush_wanted = asyncio.Event()
        self.is_behind = False
        self._room = asyncio.Condition()
        self._patience = Patience()
        self._writing = ThreadPoolExecutor(max_workers=1, thread_name_prefix="flush")
        # One at a time: a take-over that is no longer wanted ends before the one that replaces it begins.
        self._restoring = ThreadPoolExecutor(max_workers=1, thread_name_prefix="restore")
        self._alerting = Alerting(outbox, writer, self._restoring, metrics)
        self.intake = Intake(lambda: cast(ChunkConsumer, app.consumer))
        self._errands = Errands(outbox, writer, metrics, settings.identity_moves)
        self.context = NO_CONTEXT
        self.hear: Callable[[int, list[Touch]], object] = lambda partition, touches: None
        self._facts: list[tuple[object, ...]] = []
        metrics.buffer_limit_rows.set(settings.buffer_rows)

    @property
    def _unwritten_rows(self) -> int:
        return self._writing_rows + self._exchange.unwritten_rows + len(self.refusals)

    async def take(self, topic: str, number: int, generation: int, records: list[Record]) -> None:
        """Process one chunk, unless its partition has gone away meanwhile; then its next owner reads it again."""
        partition = await self._own(number, generation)
        if partition is None or not await self._wait_for_room(partition):
            return
        if not (fresh := await self.intake.fit(partition, topic, records)):
            return
        began, now_ms = time.perf_counter(), read_clock_ms()
        with self._metrics.timed("decode"):
            chunk = self._decoder.decode(topic, number, fresh, now_ms)
        if (excess := await self.refusals.check(chunk)) is not None:
            await self.revoke()
            raise excess
        if topic == TOUCHPOINTS:
            self.hear(number, [arrival.touch for arrival in chunk.arrivals])
        async with self._step:
            # What waits is taken by the flush that the end of a backlog asks for.
            is_behind = self.is_behind or self._exchange.is_waiting
            with self._metrics.timed("stitch"):
                outcome = partition.stitch(chunk, is_behind=is_behind)
            if not is_behind:
                with self._metrics.timed("detect"):
                    partition.detect(outcome)
            await self._act(partition, chunk, outcome, now_ms)
            if self._partitions.get(number) is partition:
                self._uncommitted[TP(topic, number)] = chunk.next_offset
        self._metrics.chunk_seconds.observe(time.perf_counter() - began)
        self._metrics.last_progress.set_to_current_time()
        left = sum(self._ends.left(p.number, p.positions) for p in self._partitions.values())
        has_caught_up, self.is_behind = self.is_behind and not left, left > 0
        if has_caught_up or is_flush_due(self._unwritten_rows - self._writing_rows, self._settings, left):
            self._flush_wanted.set()

    async def _own(self, number: int, generation: int) -> Partition | None:
        if generation != self._app.consumer_generation_id:
            return None
        arriving = self._arriving.get(number)
        if arriving is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(arriving)
        return self._partitions.get(number) if generation == self._app.consumer_generation_id else None

    async def _wait_for_room(self, partition: Partition) -> bool:
        async with self._room:
            await self._room.wait_for(
                lambda: (
                    self._unwritten_rows < self._settings.buffer_rows
                    or self._partitions.get(partition.number) is not partition
                )
            )
        return self._partitions.get(partition.number) is partition

    async def _act(self, partition: Partition, chunk: DecodedChunk, outcome: Outcome, now_ms: int) -> None:
        if outcome.is_mostly_late:
            self._app.logger.warning("%s", describe_late(partition.number, partition.time_ms, outcome))
        for refusal in chunk.refusals:
            await self.refusals.add(chunk.topic, chunk.partition, refusal)
        await self._publish(partition, outcome, now_ms)

    async def _publish(self, partition: Partition, outcome: Outcome, now_ms: int) -> None:
        self._metrics.count_touchpoints(outcome.accepted, outcome.duplicate, outcome.late)
        with self._metrics.timed("tell"):
            await self._errands.send(partition.partitions, outcome)
            for neighbour, heard in self._exchange.hear(outcome.links, partition.partitions):
                await self._errands.send(neighbour.partitions, heard)
            await self._alerting.publish(partition, outcome.changes, self._configuration.rules, now_ms)

    def _is_live(self, partition: Partition, now_ms: int) -> bool:
        return abs(now_ms - partition.time_ms) <= self._configuration.live_within_ms

    async def refresh(self, committed: Mapping[TP, int | None]) -> None:
        """Compare positions with the broker's end offsets. `committed`: where partitions started that read nothing."""
        for partition in self._partitions.values():
            for tp in topic_partitions(TOPICS, partition.number):
                if (offset := committed.get(tp)) is not None:
                    partition.positions.setdefault(tp.topic, offset)
        known = {(topic, p.number): offset for p in self._partitions.values() for topic, offset in p.positions.items()}
        await self._ends.refresh(known)
        for partition in self._partitions.values():
            partition.retaken.check_end(self._ends.end(TOUCHPOINTS, partition.number))
        if self.is_behind and all(self._ends.is_caught_up(p.number, p.positions) for p in self._partitions.values()):
            self.is_behind = False
            self._flush_wanted.set()

    async def tick(self) -> None:
        """Let the time of live, caught-up partitions pass with the clock."""
        now_ms = read_clock_ms()
        for partition in list(self._partitions.values()):
            is_live = self._is_live(partition, now_ms)
            # A replay is not held back by what is silent today.
            partition.context = self.context if is_live else self.context._replace(silent={})
            if self._ends.is_caught_up(partition.number, partition.positions):
                async with self._step:
                    if not partition.waiting:  # No time passes before it is taken.
                        outcome = partition.advance(now_ms if is_live else partition.ahead_ms)
                        await self._publish(partition, outcome, now_ms)
            if partition.is_adopting:
                async with self._step:
                    await self._publish(partition, partition.look_on(LOOK_ON_CUSTOMERS), now_ms)
            self._metrics.partition_time.labels(str(partition.number)).set(partition.time_ms / 1000)
        self._metrics.buffer_rows.set(self._unwritten_rows)

    async def adopt(self, plan: Plan) -> None:
        """Go by other rules from now on, in everything that is open."""
        policy = replace(self._configuration.policy, plan=plan)
        async with self._step:
            self._configuration = replace(self._configuration, policy=policy)
            self._decoder = Decoder(self._configuration.door, policy.plan.keeps)
            for partition in self._partitions.values():
                partition.adopt(policy)

    @property
    def wished(self) -> list[str]:
        """The products of which some customers wished to be told."""
        return [sku for partition in self._partitions.values() for sku in partition.wishes]

    def take_facts(self, rows: list[tuple[object, ...]], skus: Iterable[str]) -> None:
        """Have facts written with the next flush, and those looked at who wished to be told of these products."""
        self._facts += rows
        for partition in self._partitions.values():
            partition.look_again(skus)

    async def tell_of_source(self, state: EpisodeState, now_ms: int) -> None:
        """Tell and keep an alert that concerns no customer. The owner of the first partition does."""
        partition = self._partitions[FIRST_PARTITION]
        async with self._step:
            partition.alerts.put("", state)
            await self._alerting.send([Told(partition, "", SOURCE_SILENT, state)], now_ms)

    @property
    def speaks_for_all(self) -> bool:
        """Whether this worker tells of what concerns no customer."""
        return FIRST_PARTITION in self._partitions

    async def sweep(self) -> None:
        """Correct what former owners have written after their partitions were taken over. Raises Terminal."""
        for partition in list(self._partitions.values()):
            try:
                found = await asyncio.get_running_loop().run_in_executor(
                    self._restoring, find_orphans, self._writer, self._settings.consumer_group, partition.number,
                    partition.partitions,
                )  # fmt: skip
            except Transient as error:
                self._app.logger.warning("%s; looking for orphans again later", error)
                return
            if found:
                self._app.logger.warning("Correcting what a former owner of partition %d wrote late", partition.number)
                async with self._step:
                    adopt_orphans(partition, found)

    async def flush(self, *, with_errands: bool = True) -> None:
        """Write all that is unwritten, then commit. Raises Fenced, Terminal or Transient (told to give up)."""
        async with self._flush_lock:
            answers = await self._errands.ask(self._partitions, self._attempt) if with_errands else {}
            for _ in range(MORE_QUESTIONS if with_errands and not self.is_behind else 0):
                # What was heard meanwhile concerns some that wait, who would have to be moved later.
                if self._exchange.is_asking:
                    async with self._step:
                        await self._follow("errands", self._exchange.apply(answers))
                    answers = await self._errands.ask(self._partitions, self._attempt, evidence_only=True)
            async with self._step:
                await self._follow("errands", self._exchange.apply(answers))
                await self._follow("stitch", self._exchange.settle(is_behind=with_errands and self.is_behind))
                # Once a flush while the worker is behind, as it is history already.
                await self._follow("detect", self._exchange.review())
                with self._metrics.timed("rows"):
                    flush = self._gather()
                tenure, patience = self.tenure, self._patience
            if flush is None:
                return
            began = time.perf_counter()
            self._writing_rows = flush.row_count
            # First what was published: a stored state must not know of an alert that nobody got.
            await self._outbox.settle(self._outbox.pending())
            await asyncio.get_running_loop().run_in_executor(
                self._writing, write_flush, self._writer, flush, self._settings.consumer_group, self._name, patience,
                self._note_wait,
            )  # fmt: skip
            self._metrics.steps.labels("insert").inc(time.perf_counter() - began)
            if tenure == self.tenure:
                self._writing_rows = 0
                self._errands.count(self._partitions.values())
                await cast(ChunkConsumer, self._app.consumer).commit_positions(flush.positions)
            observe_flush(self._metrics, flush, time.perf_counter() - began, read_clock_ms())
            self._metrics.open_customers.set(sum(p.open_customers for p in self._partitions.values()))
        async with self._room:
            self._room.notify_all()

    async def _follow(self, step: str, steps: Iterator[tuple[Partition, Outcome]]) -> None:
        """Publish what each brings before the next."""
        while True:
            with self._metrics.timed(step):
                brought = next(steps, None)
            if brought is None:
                return
            await self._publish(*brought, read_clock_ms())

    def _attempt(self, operation: Callable[[], Result], patience: Patience | None = None) -> Result:
        sleep = (patience or self._patience).sleep
        return retry(operation, now=time.monotonic, sleep=sleep, give_up_after_seconds=None, on_wait=self._note_wait)

    def _gather(self) -> Flush | None:
        self._flush_wanted.clear()  # Also where there is nothing to write: else it would be wanted for ever.
        waits = self._uncommitted or self._facts or self.refusals
        if not waits and not any(p.is_unwritten for p in self._partitions.values()):
            return None
        committing = {tp.partition for tp in self._uncommitted}
        rows, progress = gather(self._partitions.values(), committing, self._configuration.rules, read_clock_ms())
        rows.dead_letters, rows.facts, self._facts = self.refusals.take(), self._facts, []
        positions, self._uncommitted = part_positions(self._uncommitted, progress)
        return Flush(rows, tuple(progress), positions)

    def _note_wait(self, error: Transient, attempt: int, seconds: float) -> None:
        self._metrics.retries.inc()
        self._app.logger.warning("%s; attempt %d, next in %.1f s", error, attempt, seconds)

    async def flush_when_due(self) -> None:
        """Flush about every interval, or as soon as enough rows wait or a backlog ends. Runs until cancelled.

        In a backlog flushes are fewer and larger, as each writes a customer once; errands speed them.
        """
        settings = self._settings
        while True:
            interval = settings.backlog_flush_interval if self.is_behind else settings.flush_interval
            interval = self._errands.haste.shorten(interval, is_behind=self.is_behind)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._flush_wanted.wait(), interval.total_seconds())
            await self.flush()

    async def assign(self, assigned: set[TP]) -> None:
        """Start to take over the partitions of a new assignment; chunks wait until their partition is there."""
        self._metrics.rebalances.inc()
        numbers = sorted({tp.partition for tp in assigned if tp.topic == TOUCHPOINTS})
        self._patience = Patience()
        self._ends.watch([tp for number in numbers for tp in topic_partitions(TOPICS, number)])
        self._metrics.assigned.set(len(numbers))
        for number in numbers:
            if number not in self._partitions:
                task = self._arriving[number] = asyncio.create_task(self._arrive(number, self._patience))
                task.add_done_callback(self._check_arrival)

    def _check_arrival(self, task: asyncio.Task[Partition]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, Transient):
            self._fail(error)

    async def _arrive(self, number: int, patience: Patience) -> Partition:
        began = time.perf_counter()
        partitions = await self._ends.count_partitions(TOUCHPOINTS)
        partition = await asyncio.get_running_loop().run_in_executor(
            self._restoring, self._take_over, number, partitions, patience
        )
        partition.context = self.context._replace(silent={})
        self._partitions[number] = partition
        self._arriving.pop(number, None)
        self._metrics.restore_seconds.set(time.perf_counter() - began)
        return partition

    def _take_over(self, number: int, partitions: int, patience: Patience) -> Partition:
        patience.sleep(0)
        settings = self._settings
        return self._attempt(
            lambda: take_over(
                self._writer, settings.consumer_group, number, partitions, self._configuration.policy, self._name,
                settings.hot_customers // partitions,
            ), patience,
        )  # fmt: skip

    async def revoke(self, seconds: float = REVOKE_SECONDS) -> None:
        """Write what is whole within a bound, commit it, drop the cache; the next owner redoes the rest."""
        for task in self._arriving.values():
            task.cancel()
        self._arriving.clear()
        last = asyncio.ensure_future(self.flush(with_errands=False))
        await asyncio.wait([last], timeout=seconds)
        if not last.done():
            self._app.logger.warning("No time to write all on revocation; the next owner does it again")
            last.add_done_callback(lambda flush: flush.exception())
        elif (error := last.exception()) is not None:
            self._app.logger.warning("Left unwritten on revocation, to be done again: %s", error)
        self.tenure += 1
        self._patience.give_up()
        self._alerting.forget()
        self._partitions.clear()
        self._uncommitted.clear()
        self.refusals.forget()
        self.intake.forget()
        self._writing_rows = 0
        self._metrics.assigned.set(0)
        async with self._room:
            self._room.notify_all()

    def close(self) -> None:
        """Give up what still waits and close the connections to ClickHouse."""
        self._patience.give_up()
        for threads in (self._writing, self._restoring, self._errands.reading):
            threads.shutdown(wait=False, cancel_futures=True)
        self._writer.close()
