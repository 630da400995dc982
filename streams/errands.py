"""Errands of identity: what partitions want to know is read from ClickHouse, what they want sent goes to Kafka."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import groupby

from schemas.errors import Transient
from schemas.partitioning import partition_of
from sinks.writer import Writer
from streams.history_reader import HistoryReader
from streams.identity.asking import Answers, join
from streams.metrics import Metrics
from streams.outbox import Keyed, Outbox
from streams.outcome import Outcome
from streams.partition import Partition

HURRIED_FLUSHES = 2
"""After a backlog: the one that takes the last of it, and the one that moves what belongs elsewhere by that."""


class Haste:
    """How soon the next flush should come, as errands may wait for it.

    `is_pressing`: some wait for just that. `is_piling`: there are more of them than it will do.
    """

    def __init__(self) -> None:
        self.is_pressing = self.is_piling = False
        self._hurried = 0

    def shorten(self, interval: timedelta, *, is_behind: bool) -> timedelta:
        """How long to wait for a flush that would be due after `interval`; to be asked once for each flush.

        In a backlog errands speed it only where they pile up. What is left to move when it ends is moved at once: all
        else is done by then.
        """
        if is_behind:
            self._hurried = HURRIED_FLUSHES
            return interval / 4 if self.is_piling else interval
        self._hurried, is_over = max(0, self._hurried - 1), self._hurried > 0
        if not self.is_pressing:
            return interval
        return timedelta(0) if is_over else interval / 2


class Errands:
    """`reading`: a thread that waits for ClickHouse. `most_moves`: histories moved per partition in one flush."""

    def __init__(self, outbox: Outbox, writer: Writer, metrics: Metrics, most_moves: int) -> None:
        self._outbox = outbox
        self._writer = writer
        self.reading = ThreadPoolExecutor(max_workers=1, thread_name_prefix="errands")
        self._metrics = metrics
        self._most_moves = most_moves
        self.haste = Haste()

    async def ask(
        self,
        partitions: Mapping[int, Partition],
        attempt: Callable[[Callable[[], Answers]], Answers],
        *,
        evidence_only: bool = False,
    ) -> dict[Partition, Answers]:
        """What each partition can be answered now, read without holding anything up. Raises Terminal.

        `evidence_only`: leave histories for another time.
        """
        most = 0 if evidence_only else self._most_moves
        asked = {each: asks for each in partitions.values() if (asks := each.identities.ask(most))}
        if not asked:
            return {}
        reader = HistoryReader(self._writer, next(iter(asked)).policy.plan.keeps)
        loop, began = asyncio.get_running_loop(), time.perf_counter()
        try:
            # Together: what a question costs hardly depends on how much it asks.
            answers = await loop.run_in_executor(self.reading, attempt, lambda: reader.answer(join(asked.values())))
        except Transient:
            # Told to give up, as the partitions are going away: their next owner asks again.
            return {}
        self._metrics.steps.labels("ask").inc(time.perf_counter() - began)
        return {partition: answers.of(asks) for partition, asks in asked.items()}

    def count(self, partitions: Iterable[Partition]) -> None:
        """Tell the metrics how many errands are left, and note whether the next flush should come sooner for them."""
        given = list(partitions)
        self._metrics.identity_errands.set(sum(len(each.identities.ledger) for each in given))
        most = max((each.identities.ledger.count_ready(each.flushes) for each in given), default=0)
        self.haste.is_pressing, self.haste.is_piling = most > 0, most > self._most_moves

    async def send(self, partitions: int, outcome: Outcome) -> None:
        """Hand over the records of an outcome, each topic's in their order, and count what was done."""
        for topic, sendings in groupby(sorted(outcome.sendings, key=lambda each: each.topic), lambda each: each.topic):
            records = [
                Keyed(each.key, each.value, partition_of(each.owner_key.encode(), partitions), each.headers)
                for each in sendings
            ]
            await self._outbox.send_all(topic, records)
        self._count(outcome)

    def _count(self, outcome: Outcome) -> None:
        for what, count in outcome.identity.items():
            self._metrics.identity.labels(what).inc(count)
        for hops, count in outcome.hops.items():
            self._metrics.identity_hops.observe([hops] * count)
        if outcome.merge_seconds:
            self._metrics.time_to_merge.observe(outcome.merge_seconds)
