"""Telling of episodes: each changed state goes to topic `friction-alerts` at once, and for those about stock, whom else
it concerns is counted and told as soon as ClickHouse has answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import NamedTuple

from schemas.errors import JourneysError
from schemas.topics import FRICTION_ALERTS
from sinks.writer import Writer
from streams.clock import read_clock_ms
from streams.friction.texts import word
from streams.metrics import Metrics
from streams.outbox import Outbox
from streams.partition import EPOCH_BITS, Partition
from streams.publishing import encode_episode
from streams.rules.model import Rule, retired_rule
from streams.states import EpisodeState

LIVE_CAUSE_MS = 600_000
"""An alert about what happened longer ago than this says nothing about our speed."""
COUNT_AFFECTED = """SELECT uniqExact(customer_id) FROM analytics.open_interest
WHERE sku = %(sku)s AND (%(store)s = '' OR store_id IN ('', %(store)s)) AND customer_id != %(customer)s"""


class Told(NamedTuple):
    """One state of an episode, whose it is and by which rule."""

    partition: Partition
    customer: str
    rule: Rule
    state: EpisodeState


class Alerting:
    """Publishes episode states with growing versions. `counting`: threads that may wait for ClickHouse."""

    def __init__(self, outbox: Outbox, writer: Writer, counting: Executor, metrics: Metrics) -> None:
        self._outbox = outbox
        self._writer = writer
        self._counting = counting
        self._metrics = metrics
        self._count = 0
        self._counts: set[asyncio.Task[None]] = set()

    async def publish(
        self, partition: Partition, changes: list[tuple[str, EpisodeState]], rules: Mapping[str, Rule], now_ms: int
    ) -> None:
        """Send every changed state. What is open and about stock is counted afterwards and sent once more."""
        for customer, state in changes:
            rule = rules.get(state.rule) or retired_rule(state.rule)
            told = Told(partition, customer, rule, state)
            await self.send(told, now_ms)
            if rule.mismatch is not None and state.status == "open" and state.episode_id not in partition.affected:
                task = asyncio.create_task(self._count_affected(told))
                self._counts.add(task)
                task.add_done_callback(self._counts.discard)

    async def send(self, told: Told, now_ms: int) -> None:
        """Send one state under the next version."""
        partition, customer, rule, state = told
        self._count += 1
        version = partition.epoch << EPOCH_BITS | self._count
        affected, wording = partition.affected.get(state.episode_id), word(rule, state)
        partition.wordings[state.episode_id] = (state, wording)
        value = encode_episode(customer, rule, state, wording, version, now_ms, affected=affected)
        sent = await self._outbox.send(FRICTION_ALERTS, state.episode_id.encode(), value)
        self._metrics.alerts.labels(state.rule, state.status).inc()
        caused_ms = state.opened_ms if state.status == "open" else state.last_seen_ms
        if 0 <= now_ms - caused_ms <= LIVE_CAUSE_MS:
            observe: Callable[[object], None] = lambda _: self._observe(caused_ms)  # noqa: E731
            sent.add_done_callback(observe)

    def _observe(self, caused_ms: int) -> None:
        self._metrics.event_to_alert.observe([(read_clock_ms() - caused_ms) / 1000])

    async def _count_affected(self, told: Told) -> None:
        store_id = told.state.store_id
        sku = told.state.subject.removesuffix(f"@{store_id}")
        parameters = {"sku": sku, "store": store_id, "customer": told.customer}
        try:
            rows = await asyncio.get_running_loop().run_in_executor(
                self._counting, self._writer.query, COUNT_AFFECTED, parameters
            )
        except JourneysError:
            # The alert is out; whom else it concerns can be asked at any time.
            return
        state = told.partition.note_affected(told.customer, told.state.episode_id, int(rows[0][0]))
        if state is not None:
            await self.send(told._replace(state=state), read_clock_ms())

    def forget(self) -> None:
        """Stop counting: the partitions are going away."""
        for task in self._counts:
            task.cancel()
