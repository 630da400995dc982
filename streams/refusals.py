"""Refused records: told on `dead-letters` at once, kept with the next flush."""

from __future__ import annotations

from schemas.topics import DEAD_LETTERS
from streams.clock import read_clock_ms
from streams.decoding import STEP
from streams.metrics import Metrics
from streams.outbox import Outbox
from streams.publishing import dead_letter_row, encode_dead_letter
from streams.records import Refusal


class Refusals:
    """What was refused and is not yet written."""

    def __init__(self, outbox: Outbox, metrics: Metrics) -> None:
        self._outbox = outbox
        self._metrics = metrics
        self._rows: list[tuple[object, ...]] = []

    def __len__(self) -> int:
        return len(self._rows)

    async def add(self, topic: str, partition: int, refusal: Refusal) -> None:
        """Keep a refused record with its reason."""
        now_ms = read_clock_ms()
        self._metrics.dead_letters.labels(refusal.reason).inc()
        self._rows.append(dead_letter_row(topic, partition, refusal, STEP, now_ms))
        value = encode_dead_letter(topic, partition, refusal, STEP, now_ms)
        await self._outbox.send(DEAD_LETTERS, f"{topic}-{partition}-{refusal.offset}".encode(), value)

    def take(self) -> list[tuple[object, ...]]:
        """The rows of `tables.DEAD_LETTERS` since the last call."""
        rows, self._rows = self._rows, []
        return rows
