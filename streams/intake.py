"""The intake: what of a chunk comes next in its partition. What is missing before it is read again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from faust.types import TP

from streams.holes import HOLE_PAUSE_SECONDS, Holes
from streams.records import Record


class Taker(Protocol):
    """A partition, and the offsets after what it has taken, by topic."""

    number: int

    @property
    def positions(self) -> Mapping[str, int]: ...


class Source(Protocol):
    """Where chunks come from."""

    def starting_offset(self, tp: TP) -> int:
        """From where a partition is read that was assigned."""

    async def go_back(self, tp: TP, offset: int) -> None:
        """Read a partition from an offset again."""


class Intake:
    """Compares chunks with the positions of their partitions.

    Kafka's order is not to be trusted blindly: the memory-only broker may show a batch before the one that stands
    before it, and on the way here a chunk may be dropped over a rebalance that comes to nothing.
    """

    def __init__(
        self,
        source: Callable[[], Source],
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._source = source
        self._now = now
        self._sleep = sleep
        self._holes = Holes()

    def forget(self) -> None:
        """Partitions have gone; they will be read from where they were committed."""
        self._holes.forget()

    async def fit(self, partition: Taker, topic: str, records: list[Record]) -> list[Record]:
        """The records to be taken now, perhaps none; the consumer is sent back to what is missing."""
        source, place = self._source(), TP(topic, partition.number)
        done = partition.positions.get(topic)
        if done is None:
            done = source.starting_offset(place)
        fresh = [record for record in records if record.offset >= done] if records[0].offset < done else records
        if not fresh:
            return fresh
        count, again = self._holes.cut(place, fresh, done, self._now())
        if again is not None:
            await source.go_back(place, again)
            await self._sleep(HOLE_PAUSE_SECONDS)
        return fresh[:count]

    async def seek_overdue(self) -> None:
        """Send the consumer back once more to what was sought and has not come."""
        for place, missing in self._holes.overdue(self._now()):
            await self._source().go_back(TP(*place), missing)
