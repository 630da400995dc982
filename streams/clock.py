"""The wall clock, and how far each partition has come against its broker's end offsets."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.types import TP

from schemas.errors import Misconfigured
from streams.metrics import Metrics

ENDLESS = 2**62
"""More records than any topic holds."""


def read_clock_ms() -> int:
    """Wall clock, epoch milliseconds."""
    return time.time_ns() // 1_000_000


def check_clock(before_ms: int, theirs_ms: int, after_ms: int, bound_ms: int) -> None:
    """Compare this machine's clock, read before and after, with another. Raises `Misconfigured` beyond the bound.

    Neither is known to be the right one; but what is late, or due, is decided by this one.
    """
    ahead_ms, behind_ms = before_ms - theirs_ms, theirs_ms - after_ms
    if max(ahead_ms, behind_ms) > bound_ms:
        off, way = max((ahead_ms, "ahead of"), (behind_ms, "behind"))
        raise Misconfigured(
            f"this machine's clock is {off // 1_000} s {way} ClickHouse's, and what is late is decided by it: "
            "synchronise both clocks (NTP), then start this worker again"
        )


class EndOffsets:
    """End offsets of the watched partitions, asked from the broker now and then.

    A broker may report an end too low by the length of its last batch, so a position at or past it counts as the end.
    """

    def __init__(self, servers: list[str], options: Mapping[str, Any], metrics: Metrics) -> None:
        self._options = {"bootstrap_servers": servers, "enable_auto_commit": False, **options}
        self._consumer: AIOKafkaConsumer | None = None
        self._metrics = metrics
        self._watched: list[TP] = []
        # By partition and topic, as they are asked for with each chunk.
        self._ends: dict[int, dict[str, int]] = {}
        self._starts: dict[int, dict[str, int]] = {}

    async def start(self) -> None:
        """Connect."""
        self._consumer = AIOKafkaConsumer(**self._options)
        await self._consumer.start()

    async def stop(self) -> None:
        """Disconnect."""
        if self._consumer is not None:
            await self._consumer.stop()

    def watch(self, partitions: Iterable[TP]) -> None:
        """From now on these partitions only."""
        self._watched = list(partitions)
        self._ends.clear()
        self._metrics.lag.clear()

    async def count_partitions(self, topic: str) -> int:
        """How many partitions a topic has. Raises Misconfigured when there is no such topic."""
        assert self._consumer is not None, "started before anything is asked"
        await self._consumer._client.force_metadata_update()
        known = self._consumer.partitions_for_topic(topic)
        if not known:
            raise Misconfigured(f"Kafka has no topic {topic!r}: create the topics with `journeys migrate`")
        return len(known)

    async def refresh(self, positions: Mapping[tuple[str, int], int]) -> None:
        """Ask the broker, and tell the metrics how many records are still ahead of `positions`."""
        if not self._watched or self._consumer is None:
            return
        asked = [TopicPartition(tp.topic, tp.partition) for tp in self._watched]
        ends = await self._consumer.end_offsets(asked)
        starts = await self._consumer.beginning_offsets(asked)
        for tp, end in ends.items():
            self._ends.setdefault(tp.partition, {})[tp.topic] = end
            self._starts.setdefault(tp.partition, {})[tp.topic] = starts[tp]
            lag = max(0, end - positions.get((tp.topic, tp.partition), starts[tp]))
            self._metrics.lag.labels(tp.topic, str(tp.partition)).set(lag)

    def end(self, topic: str, partition: int) -> int | None:
        """Where a partition ended when the broker was last asked; None before that."""
        return self._ends.get(partition, {}).get(topic)

    def left(self, partition: int, positions: Mapping[str, int]) -> int:
        """How many records were ahead of a partition's positions when the broker was last asked; before, no end."""
        ends = self._ends.get(partition)
        if not ends:
            return ENDLESS
        starts = self._starts[partition]
        return sum(max(0, end - positions.get(topic, starts[topic])) for topic, end in ends.items())

    def is_caught_up(self, partition: int, positions: Mapping[str, int]) -> bool:
        """Whether nothing was."""
        return self.left(partition, positions) == 0
