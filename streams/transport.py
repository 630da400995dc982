"""Faust's Kafka transport, carrying chunks: one message per fetched batch of one partition, and commits on demand only.

Faust keeps group membership, rebalance, flow control and the event loop. What it would commit by itself (positions of
acknowledged messages, stepping over holes) is switched off: the worker names positions after each flush.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, cast

from aiokafka import TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import IllegalStateError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage

from streams.pace import Pace


class ChunkConsumerThread(driver.AIOKafkaConsumerThread):
    """Assigns by range, so that one worker owns the same partitions of every topic."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._partition_assignment_strategy = (RangePartitionAssignor,)
        consumer._fetch_max_wait_ms = 250
        # What its sender has taken back did not happen.
        consumer._isolation_level = "read_committed"
        self._pace = Pace()
        return consumer

    async def _fetch_records(
        self, consumer: Any, active_partitions: set[TP], timeout: float | None = None, max_records: int | None = None
    ) -> Any:
        # Where its fetcher keeps what has come and was not taken is aiokafka's own affair.
        chosen = cast(set[TP], self._pace.choose(consumer._fetcher._records, active_partitions))
        taken: Any = await super()._fetch_records(consumer, chosen, timeout=timeout, max_records=max_records)
        self._pace.note(taken)
        return taken


class _Unread(dict[Any, Any]):
    """Faust notes which offset it handed on last, and drops what is before it: also what is read again because somebody
    went back while it was handing on. What was taken already is for the intake to say, so nothing is noted.
    """

    def __getitem__(self, key: Any) -> None:
        return None

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def update(self, *args: Any, **kwargs: Any) -> None:
        pass


class ChunkConsumer(driver.Consumer):
    """Yields whole chunks; commits exactly what `commit_positions` is given and nothing else."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._read_offset = _Unread()

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
        wanted = (active or set()) | self._buffered_partitions
        for tp, chunk in records.items():
            if self.suspend_flow.is_set() or self.app.consumer_generation_id != generation:
                return
            if chunk and tp in wanted:
                yield tp, _to_message(tp, chunk, generation)

    async def _seek_back(self) -> None:
        try:
            await self.perform_seek()
        except Exception as error:
            # The assignment is just going away; the next owner seeks for itself.
            self.log.warning("Could not seek back while the flow is stopped: %s", error)

    async def perform_seek(self) -> None:
        """Have every partition read from where it was committed, or from its beginning where it never was.

        Faust leaves the latter where they are, which is too far when something was fetched and dropped meanwhile.
        """
        await super().perform_seek()
        fresh = [TopicPartition(*tp) for tp in self.assignment() if not self._committed_offset.get(tp)]
        if fresh:
            # An error means that the assignment is just going away; the next owner seeks for itself.
            with contextlib.suppress(IllegalStateError):
                await self._thread.seek_to_beginning(*fresh)

    def starting_offset(self, tp: TP) -> int:
        """From where a partition is read that was assigned: the offset that was committed, 0 where none was."""
        return self._committed_offset.get(tp) or 0

    async def go_back(self, tp: TP, offset: int) -> None:
        """Read a partition from an offset again."""
        try:
            await self.seek_wait({tp: offset})
        except Exception as error:
            # The assignment is just going away; the next owner reads from what is committed.
            self.log.warning("Could not go back to offset %d of %s-%d: %s", offset, tp.topic, tp.partition, error)

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
