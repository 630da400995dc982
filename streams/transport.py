"""Faust's Kafka transport, carrying chunks: one message per fetched batch of one partition, and commits on demand only.

Faust keeps group membership, rebalance, flow control and the event loop. What it would commit by itself (positions of
acknowledged messages, stepping over holes) is switched off: the worker names positions after each flush.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, cast

from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage

from streams.holes import HOLE_PAUSE_SECONDS, Holes


class ChunkConsumerThread(driver.AIOKafkaConsumerThread):
    """Assigns by range, so that one worker owns the same partitions of every topic."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._partition_assignment_strategy = (RangePartitionAssignor,)
        consumer._fetch_max_wait_ms = 250
        return consumer


class ChunkConsumer(driver.Consumer):
    """Yields whole chunks; commits exactly what `commit_positions` is given and nothing else."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._holes = Holes()
        self._holes_generation = -1

    def _new_consumer_thread(self) -> ChunkConsumerThread:
        return ChunkConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:
        """One message per partition that has records; its `value` is the list of records."""
        records, active = await self._wait_next_records(timeout)
        generation = self.app.consumer_generation_id
        if records is None or self.should_stop:
            return
        if not self.flow_active:
            await self._seek_back()
            return
        if generation != self._holes_generation:
            self._holes.forget()
            self._holes_generation = generation
        wanted = (active or set()) | self._buffered_partitions
        for tp, chunk in records.items():
            if self._is_over(generation):
                return
            if not chunk or tp not in wanted:
                continue
            count, again = self._holes.cut(tp, chunk, self._read_offset[tp], time.monotonic())
            if count:
                yield tp, _to_message(tp, chunk[:count], generation)
            # Only now: whoever takes the chunk compares it with where is read from. A new assignment has its own place.
            if again is not None and not self._is_over(generation):
                await self._seek_for_hole(tp, again)
                await self.sleep(HOLE_PAUSE_SECONDS)

    def _is_over(self, generation: int) -> bool:
        return self.suspend_flow.is_set() or self.app.consumer_generation_id != generation

    async def _seek_for_hole(self, tp: TP, offset: int) -> None:
        try:
            await self.seek_wait({tp: offset})
        except Exception as error:
            # The assignment is just going away; the next owner reads from what is committed.
            self.log.warning("Could not go back to offset %d of %s-%d: %s", offset, tp.topic, tp.partition, error)

    async def _seek_back(self) -> None:
        self._holes.forget()
        try:
            await self.perform_seek()
        except Exception as error:
            # The assignment is just going away; the next owner seeks for itself.
            self.log.warning("Could not seek back while the flow is stopped: %s", error)

    async def commit_positions(self, positions: Mapping[TP, int]) -> bool:
        """Commit the next offset to read of each partition. False when the group has moved on: nothing is committed."""
        assigned = self.assignment()
        owned = {tp: offset for tp, offset in positions.items() if tp in assigned}
        if not owned:
            return not positions
        return bool(await self._thread.commit(owned)) and len(owned) == len(positions)

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Do nothing: Faust's own idea of what is done is not ours."""
        return False

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Do nothing: a chunk's first offset follows the last chunk's first, not its last."""

    async def verify_all_partitions_active(self) -> None:
        """Do nothing: the worker watches its own progress, and being paused for ClickHouse is no failure."""


class ChunkTransport(driver.Transport):
    """The transport with `ChunkConsumer`."""

    Consumer = ChunkConsumer


def _to_message(tp: TP, chunk: list[Any], generation: int) -> ConsumerMessage:
    first = chunk[0]
    return ConsumerMessage(
        first.topic,
        first.partition,
        first.offset,
        first.timestamp / 1000,
        first.timestamp_type,
        [],
        None,
        cast(bytes, chunk),  # the agent of this transport expects a list of records
        None,
        0,
        0,
        tp,
        generation_id=generation,
    )


def topic_partitions(topics: Iterable[str], partition: int) -> list[TP]:
    """The same partition of several topics."""
    return [TP(topic, partition) for topic in topics]
