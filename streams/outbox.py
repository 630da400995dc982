"""What the worker publishes: alerts, dead letters, rekeyed touchpoints; nothing is committed before it is acked."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaProducer

from schemas.errors import Terminal

MAX_PENDING = 20_000
MAX_REQUEST_BYTES = 16 * 1024 * 1024


class Outbox:
    """Sends with acks=all. `settle` waits until all that was sent so far is acknowledged.

    Not Kafka's idempotent producer: a record sent twice is harmless here (alerts carry their version, touchpoints and
    dead letters their identity), and not every broker that is used for development answers its handshake.
    """

    def __init__(self, servers: list[str], options: Mapping[str, Any]) -> None:
        self._options = {"bootstrap_servers": servers, **options}
        self._producer: AIOKafkaProducer | None = None
        self._pending: set[asyncio.Future[Any]] = set()
        self._failure: BaseException | None = None

    async def start(self) -> None:
        """Connect."""
        self._producer = AIOKafkaProducer(acks="all", linger_ms=2, max_request_size=MAX_REQUEST_BYTES, **self._options)
        await self._producer.start()

    async def stop(self) -> None:
        """Send what is buffered and disconnect."""
        if self._producer is not None:
            await self._producer.stop()

    async def send(self, topic: str, key: bytes, value: bytes, partition: int | None = None) -> asyncio.Future[Any]:
        """Hand a record over; the future is done when the broker has it. Waits while too many are on their way."""
        while len(self._pending) >= MAX_PENDING:
            await asyncio.wait(self._pending, return_when=asyncio.FIRST_COMPLETED)
        assert self._producer is not None, "started before anything is sent"
        future: asyncio.Future[Any] = await self._producer.send(topic, value=value, key=key, partition=partition)
        self._pending.add(future)
        future.add_done_callback(self._finish)
        return future

    def _finish(self, future: asyncio.Future[Any]) -> None:
        self._pending.discard(future)
        if not future.cancelled() and future.exception() is not None:
            self._failure = self._failure or future.exception()

    def pending(self) -> tuple[asyncio.Future[Any], ...]:
        """What is on its way now."""
        return tuple(self._pending)

    async def settle(self, sends: tuple[asyncio.Future[Any], ...]) -> None:
        """Wait for these sends. Raises Terminal if any send failed since the start: it will not be tried again."""
        if sends:
            await asyncio.wait(sends)
        if self._failure is not None:
            raise Terminal(f"Kafka did not take a record: {self._failure}") from self._failure
