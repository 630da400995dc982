"""Refused records: counted against the caps, told on `dead-letters` at once, kept with the next flush."""

from __future__ import annotations

import asyncio
import logging

from schemas.dead_letter import LetterId
from schemas.errors import JourneysError, Terminal
from schemas.settings import Settings
from schemas.topics import DEAD_LETTERS
from sinks.state_queries import REFUSED_BEFORE
from sinks.writer import Writer
from streams.clock import read_clock_ms
from streams.decoding import STEP
from streams.metrics import Metrics
from streams.outbox import Outbox
from streams.publishing import dead_letter_row, encode_dead_letter
from streams.records import DecodedChunk, Refusal
from streams.refusal_caps import Caps, RefusalCount

logger = logging.getLogger("journeys.refusals")


class Refusals:
    """What was refused and is not yet written, and how much was refused lately of each partition."""

    def __init__(self, outbox: Outbox, metrics: Metrics, writer: Writer, settings: Settings) -> None:
        self._outbox = outbox
        self._metrics = metrics
        self._writer = writer
        self._caps = Caps.of(settings)
        self._counts: dict[tuple[str, int], RefusalCount] = {}
        self._rows: list[tuple[object, ...]] = []
        self._tenure = 0

    def __len__(self) -> int:
        return len(self._rows)

    async def check(self, chunk: DecodedChunk) -> Terminal | None:
        """Count what a chunk has refused. Returns why the worker must stop without having taken any of the chunk."""
        place = chunk.topic, chunk.partition
        count = self._counts.get(place)
        if count is None:
            if not chunk.refusals or self._caps.are_off:
                return None
            tenure, count = self._tenure, await self._count_before(chunk)
            if tenure == self._tenure:
                self._counts[place] = count
        excess = count.take(chunk)
        self._metrics.dead_letter_caps.labels(chunk.topic, str(chunk.partition)).set(count.used)
        if excess is None:
            return None
        return Terminal(excess.describe(chunk.topic, chunk.partition, chunk.first_offset, self._caps))

    async def _count_before(self, chunk: DecodedChunk) -> RefusalCount:
        """What was refused before this chunk, as the dead letters tell: whoever read it has written them."""
        first = chunk.first_offset
        asked = {
            "topic": chunk.topic, "partition": chunk.partition, "from": max(0, first - self._caps.reach), "to": first
        }  # fmt: skip
        try:
            former = await asyncio.to_thread(self._writer.query, REFUSED_BEFORE, asked)
        except JourneysError as error:
            # While ClickHouse is away work goes on; the cap then counts from here.
            logger.warning("It is not known what was refused before: %s", error)
            former = []
        return RefusalCount(self._caps, first, [(int(offset), str(reason)) for offset, reason in former])

    async def add(self, topic: str, partition: int, refusal: Refusal) -> None:
        """Keep a refused record with its reason."""
        now_ms = read_clock_ms()
        self._metrics.dead_letters.labels(refusal.reason).inc()
        self._rows.append(dead_letter_row(topic, partition, refusal, STEP, now_ms))
        value = encode_dead_letter(topic, partition, refusal, STEP, now_ms)
        await self._outbox.send(DEAD_LETTERS, str(LetterId(topic, partition, refusal.offset)).encode(), value)

    def take(self) -> list[tuple[object, ...]]:
        """The rows of `tables.DEAD_LETTERS` since the last call."""
        rows, self._rows = self._rows, []
        return rows

    def forget(self) -> None:
        """Drop what is not written, and what was counted: the partitions are another's now."""
        self._rows.clear()
        self._counts.clear()
        self._tenure += 1
