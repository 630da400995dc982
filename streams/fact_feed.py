"""The fact feed: every worker reads the whole topic `facts`, and follows it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from schemas.errors import Transient
from schemas.topics import FACTS
from streams.clock import read_clock_ms
from streams.decoding import Door
from streams.fact_decoding import FactArrival, decode_facts
from streams.fact_rows import PARTITION
from streams.holes import HOLE_PAUSE_SECONDS, Holes
from streams.records import Refusal

STEP = "decode"
BATCH_RECORDS = 500
POLL_MS = 500
RETRY_SECONDS = 2.0
ANSWER_SECONDS = 5.0
logger = logging.getLogger("journeys.facts")

Take = Callable[[list[FactArrival]], Awaitable[None]]
Refuse = Callable[[Refusal], Awaitable[None]]


class FactFeed:
    """Reads topic `facts` from its beginning, in no consumer group, and hands over what it holds on the event loop.

    Facts go to `take` in lists, in the order of the topic; a record that is none goes to `refuse`, and the next ones
    are read all the same. When the broker fails, the feed warns and tries again, from the beginning: the same facts may
    come again, and where the broker has lost them, others under the same offsets. What the callbacks raise ends `run`.
    """

    def __init__(
        self, servers: Sequence[str], options: Mapping[str, Any], door: Door, take: Take, refuse: Refuse
    ) -> None:
        self._options = {"bootstrap_servers": list(servers), **options}
        self._door = door
        self._take = take
        self._refuse = refuse
        self._holes = Holes()
        self._next: int | None = None
        self._end: int | None = None
        self._caught_up = asyncio.Event()

    async def caught_up(self) -> None:
        """Return once everything that the topic held when it was opened has been handed over."""
        await self._caught_up.wait()

    @property
    def is_caught_up(self) -> bool:
        """Whether that has happened."""
        return self._caught_up.is_set()

    async def run(self) -> None:
        """Read until cancelled."""
        async with aclosing(self._read()) as polls:
            async for records, position in polls:
                for start in range(0, len(records), BATCH_RECORDS):
                    await self._hand_over(records[start : start + BATCH_RECORDS])
                # A broker may report an end too low by the length of its last batch; but a poll returns whole batches,
                # so whoever has come to that end has come to the real one.
                if self._end is not None and position >= self._end:
                    self._caught_up.set()

    async def _hand_over(self, records: Sequence[ConsumerRecord]) -> None:
        arrivals, refusals = decode_facts(records, self._door, read_clock_ms())
        if arrivals:
            await self._take(arrivals)
        for refusal in refusals:
            await self._refuse(refusal)
        # A long topic must not keep the worker from its other duties.
        await asyncio.sleep(0)

    async def _read(self) -> AsyncGenerator[tuple[list[ConsumerRecord], int], None]:
        """Polls without end: the records that came, perhaps none, and the offset up to which the topic is read."""
        place = TopicPartition(FACTS, PARTITION)
        while True:
            consumer = AIOKafkaConsumer(auto_offset_reset="earliest", enable_auto_commit=False, **self._options)
            try:
                await self._open(consumer, place)
                while True:
                    records = (await consumer.getmany(place, timeout_ms=POLL_MS)).get(place, [])
                    records = await self._before_hole(consumer, place, records)
                    yield records, await consumer.position(place)
                    if records:
                        # Of whole batches, the first record is surely before the end that the broker reports.
                        self._end = max(self._end or 0, records[0].offset + 1)
                    else:
                        await self._check(consumer, place)
            except (KafkaError, OSError, Transient) as error:
                logger.warning("Topic %s cannot be read: %s; trying again in %g s", FACTS, error, RETRY_SECONDS)
            finally:
                await consumer.stop()
            await asyncio.sleep(RETRY_SECONDS)

    async def _before_hole(
        self, consumer: AIOKafkaConsumer, place: TopicPartition, records: list[ConsumerRecord]
    ) -> list[ConsumerRecord]:
        if not records:
            return records
        count, again = self._holes.cut(place, records, self._next, time.monotonic())
        if count:
            self._next = records[count - 1].offset + 1
        if again is not None:
            consumer.seek(place, again)
            await asyncio.sleep(HOLE_PAUSE_SECONDS)
        return records[:count]

    async def _open(self, consumer: AIOKafkaConsumer, place: TopicPartition) -> None:
        self._end = None
        self._next = None
        self._holes.forget()
        await consumer.start()
        await consumer._client.force_metadata_update()
        if PARTITION not in (consumer.partitions_for_topic(FACTS) or ()):
            raise Transient(f"Kafka has no topic {FACTS!r}: create the topics with `journeys migrate`")
        consumer.assign([place])
        self._end = (await consumer.end_offsets([place]))[place]

    async def _check(self, consumer: AIOKafkaConsumer, place: TopicPartition) -> None:
        """Raise Transient if the broker is away or the topic has begun anew: the consumer would wait in silence."""
        try:
            end = (await asyncio.wait_for(consumer.end_offsets([place]), ANSWER_SECONDS))[place]
        except TimeoutError:
            raise Transient(f"no answer within {ANSWER_SECONDS:g} s") from None
        if self._end is not None and end < self._end:
            raise Transient(f"it ended at {self._end} and now ends at {end}: the broker has lost it")
        self._end = end
