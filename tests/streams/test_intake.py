"""A partition takes its records in their order, each once and none left out, whatever way the chunks take to it."""

import asyncio
import random
from collections import deque
from dataclasses import dataclass, field

import pytest
from faust.types import TP

from schemas.topics import TOUCHPOINTS
from streams.holes import STALE_SECONDS
from streams.intake import Intake

COMMITTED = 40


@dataclass
class Read:
    offset: int


@dataclass
class FakePartition:
    number: int = 2
    positions: dict[str, int] = field(default_factory=dict)


@dataclass
class FakeSource:
    """Reads a log of 100 records in chunks of ten, and can be sent back."""

    position: int = COMMITTED
    backs: list[int] = field(default_factory=list)

    def starting_offset(self, tp: TP) -> int:
        assert tp == (TOUCHPOINTS, 2)
        return COMMITTED

    async def go_back(self, tp: TP, offset: int) -> None:
        self.backs.append(offset)
        self.position = offset

    def poll(self) -> list[Read]:
        start, self.position = self.position, min(self.position + 10, 100)
        return [Read(offset) for offset in range(start, self.position)]


class Reader:
    def __init__(self) -> None:
        self.source, self.partition = FakeSource(), FakePartition()
        self.taken: list[int] = []
        self._intake = Intake(lambda: self.source)

    async def take(self, records: list[Read]) -> None:
        fresh = await self._intake.fit(self.partition, TOUCHPOINTS, records)  # type: ignore[arg-type]
        self.taken += [each.offset for each in fresh]
        if fresh:
            self.partition.positions[TOUCHPOINTS] = fresh[-1].offset + 1

    async def take_all(self) -> None:
        while chunk := self.source.poll():
            await self.take(chunk)


@pytest.mark.parametrize("dropped", [0, 1, 3])
def test_a_chunk_that_was_dropped_on_the_way_is_read_again(dropped: int) -> None:
    async def read() -> None:
        reader = Reader()
        for number in range(4):
            chunk = reader.source.poll()
            if number != dropped:
                await reader.take(chunk)
        await reader.take_all()
        assert reader.taken == list(range(COMMITTED, 100))
        assert reader.source.backs == [COMMITTED + 10 * dropped]

    asyncio.run(read())


def test_what_was_taken_already_is_taken_no_second_time() -> None:
    async def read() -> None:
        reader = Reader()
        await reader.take(reader.source.poll())
        reader.source.position = COMMITTED - 5
        await reader.take_all()
        assert reader.taken == list(range(COMMITTED, 100)) and not reader.source.backs

    asyncio.run(read())


def test_what_is_missing_inside_a_chunk_is_read_again_once_what_stands_before_it_is_taken() -> None:
    async def read() -> None:
        reader = Reader()
        chunk = reader.source.poll()
        await reader.take(chunk[:3] + chunk[6:])
        assert reader.taken == [40, 41, 42] and reader.source.backs == [43]
        await reader.take_all()
        assert reader.taken == list(range(COMMITTED, 100))

    asyncio.run(read())


def test_chunks_that_were_queued_behind_a_hole_are_not_taken_either() -> None:
    async def read() -> None:
        reader = Reader()
        _, second, third = (reader.source.poll() for _ in range(3))
        await reader.take(second)
        await reader.take(third)
        assert not reader.taken
        await reader.take_all()
        assert reader.taken == list(range(COMMITTED, 100))

    asyncio.run(read())


def test_what_was_sought_and_never_came_is_sought_again_after_a_while() -> None:
    async def read() -> None:
        moment = [0.0]
        source, partition = FakeSource(), FakePartition()

        async def sleep(seconds: float) -> None:
            moment[0] += seconds

        intake = Intake(lambda: source, lambda: moment[0], sleep)
        source.poll()
        assert await intake.fit(partition, TOUCHPOINTS, source.poll()) == []  # type: ignore[arg-type]
        assert source.backs == [COMMITTED]
        await intake.seek_overdue()
        moment[0] += STALE_SECONDS
        await intake.seek_overdue()
        await intake.seek_overdue()
        assert source.backs == [COMMITTED, COMMITTED]
        assert len(await intake.fit(partition, TOUCHPOINTS, source.poll())) == 10  # type: ignore[arg-type]
        moment[0] += 2 * STALE_SECONDS
        await intake.seek_overdue()
        assert source.backs == [COMMITTED, COMMITTED]

    asyncio.run(read())


class Log:
    """A log with holes that stay, and batches that are seen only after a while; read ahead into a queue."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.now = 0.0
        self.position = 0
        self.queue: deque[list[Read]] = deque()
        self.visible_at: dict[int, float] = {}
        self._write()

    def _write(self) -> None:
        offset, moment = 0, 0.0
        for _ in range(14):
            if self.rng.random() < 0.6:
                offset += self.rng.randint(1, 3)
            moment += self.rng.random()
            # A batch that is late to be seen is so for less than the patience.
            late = self.rng.choice((0.0, 0.0, 0.3)) if self.rng.random() < 0.5 else 0.0
            length = self.rng.randint(3, 40)
            self.visible_at |= dict.fromkeys(range(offset, offset + length), moment + late)
            offset += length

    def starting_offset(self, tp: TP) -> int:
        return 0

    async def go_back(self, tp: TP, offset: int) -> None:
        self.position = offset

    async def sleep(self, seconds: float) -> None:
        self.now += seconds

    def read_ahead(self) -> None:
        while len(self.queue) < self.rng.choice((1, 4)):
            seen = [offset for offset, at in self.visible_at.items() if offset >= self.position and at <= self.now]
            if not seen:
                return
            self.queue.append([Read(offset) for offset in seen[:10]])
            self.position = self.queue[-1][-1].offset + 1


@pytest.mark.parametrize("seed", range(60))
def test_nothing_is_lost_however_much_is_on_its_way_and_however_long_the_worker_stands_still(seed: int) -> None:
    async def read() -> None:
        log, partition, taken = Log(random.Random(seed)), FakePartition(), list[int]()
        intake = Intake(lambda: log, lambda: log.now, log.sleep)
        for _ in range(4_000):
            log.read_ahead()
            if log.queue:
                fresh = await intake.fit(partition, TOUCHPOINTS, log.queue.popleft())  # type: ignore[arg-type]
                taken += [each.offset for each in fresh]
                if fresh:
                    partition.positions[TOUCHPOINTS] = fresh[-1].offset + 1
            # Backpressure can hold it up for any time.
            log.now += log.rng.choice((0.0, 0.001, 0.01, log.rng.random() * 8 if log.rng.random() < 0.05 else 0.0))
            if not log.queue and taken and taken[-1] == max(log.visible_at):
                break
        assert taken == sorted(log.visible_at)

    asyncio.run(read())


def test_what_is_gone_for_good_is_not_waited_for_for_ever() -> None:
    async def read() -> None:
        reader = Reader()
        chunk = [Read(offset) for offset in range(70, 80)]
        async with asyncio.timeout(10):
            while not reader.taken:
                await reader.take(chunk)
        assert reader.taken == list(range(70, 80))

    asyncio.run(read())
