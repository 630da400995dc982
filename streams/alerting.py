"""Telling of episodes: each changed state goes to topic `friction-alerts` at once, and for those about stock, whom else
it concerns is counted and told as soon as ClickHouse has answered.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from typing import NamedTuple

from schemas.errors import JourneysError
from schemas.topics import FRICTION_ALERTS
from sinks.writer import Writer
from streams.clock import read_clock_ms
from streams.friction.texts import word
from streams.metrics import Metrics
from streams.outbox import Keyed, Outbox
from streams.partition import EPOCH_BITS, Partition
from streams.publishing import encode_episode
from streams.rules.model import Rule, retired_rule
from streams.states import EpisodeState

LIVE_CAUSE_MS = 600_000
"""An alert about what happened longer ago than this says nothing about our speed."""
COUNT_AFFECTED = """SELECT asked.1, uniqExact(interest.customer_id)
FROM (SELECT arrayJoin(arrayZip(%(episodes)s, %(skus)s, %(stores)s, %(customers)s)) AS asked) AS asking
INNER JOIN (SELECT sku, store_id, customer_id FROM analytics.open_interest WHERE sku IN %(skus)s) AS interest
    ON interest.sku = asked.2
WHERE (asked.3 = '' OR interest.store_id IN ('', asked.3)) AND interest.customer_id != asked.4
GROUP BY asked.1"""
"""Episodes and how many other customers have an open interest in what each is about; without those of nobody."""
COUNT_PAUSE_SECONDS = 1.0
"""Between two counts: each looks through what all have an interest in, however little is asked."""
MOST_COUNTED = 500
"""Of so many at a time, as all their names stand in one query."""


class Told(NamedTuple):
    """One state of an episode, whose it is and by which rule."""

    partition: Partition
    customer: str
    rule: Rule
    state: EpisodeState

    @property
    def is_to_be_counted(self) -> bool:
        """Whether it is open, about stock, and not yet known whom else it concerns."""
        is_open = self.rule.mismatch is not None and self.state.status == "open"
        return is_open and self.state.episode_id not in self.partition.alerts.affected

    def note(self, affected: int) -> EpisodeState | None:
        """Keep how many others it concerns; returns the state that it has come to, None when it is over."""
        return self.partition.note_affected(self.customer, self.state.episode_id, affected)


class Alerting:
    """Publishes episode states with growing versions. `counting`: threads that may wait for ClickHouse."""

    def __init__(self, outbox: Outbox, writer: Writer, counting: Executor, metrics: Metrics) -> None:
        self._outbox = outbox
        self._writer = writer
        self._counting = counting
        self._metrics = metrics
        self._count = 0
        self._asked: dict[str, Told] = {}
        self._answering: asyncio.Task[None] | None = None

    async def publish(
        self, partition: Partition, changes: list[tuple[str, EpisodeState]], rules: Mapping[str, Rule], now_ms: int
    ) -> None:
        """Send every changed state. What is open and about stock is counted afterwards and sent once more."""
        if not changes:
            return
        told = [
            Told(partition, customer, rules.get(state.rule) or retired_rule(state.rule), state)
            for customer, state in changes
        ]
        await self.send(told, now_ms)
        self._ask(each for each in told if each.is_to_be_counted)

    async def send(self, told: Sequence[Told], now_ms: int) -> None:
        """Send states, each under the next version."""
        sent = await self._outbox.send_all(FRICTION_ALERTS, [self._encode(each, now_ms) for each in told])
        for (rule, status), count in Counter((each.state.rule, each.state.status) for each in told).items():
            self._metrics.alerts.labels(rule, status).inc(count)
        for future, places in sent:
            caused_ms = [_caused_ms(told[place].state) for place in places]
            live_ms = [moment for moment in caused_ms if 0 <= now_ms - moment <= LIVE_CAUSE_MS]
            if live_ms:
                future.add_done_callback(lambda _, live_ms=live_ms: self._observe(live_ms))  # type: ignore[misc]

    def _encode(self, told: Told, now_ms: int) -> Keyed:
        partition, customer, rule, state = told
        self._count += 1
        version = partition.epoch << EPOCH_BITS | self._count
        affected, wording = partition.alerts.affected.get(state.episode_id), word(rule, state)
        partition.alerts.wordings[state.episode_id] = (state, wording)
        value = encode_episode(customer, rule, state, wording, version, now_ms, affected=affected)
        return Keyed(state.episode_id.encode(), value)

    def _observe(self, caused_ms: Iterable[int]) -> None:
        now_ms = read_clock_ms()
        self._metrics.event_to_alert.observe([(now_ms - moment) / 1000 for moment in caused_ms])

    def _ask(self, told: Iterable[Told]) -> None:
        """Have these counted, together with all that are asked for until the count before is done."""
        self._asked.update((each.state.episode_id, each) for each in told)
        if self._asked and (self._answering is None or self._answering.done()):
            self._answering = asyncio.create_task(self._answer())

    async def _answer(self) -> None:
        while self._asked:
            asked = [self._asked.pop(name) for name in list(self._asked)[:MOST_COUNTED]]
            try:
                counts = await asyncio.get_running_loop().run_in_executor(self._counting, self._count_affected, asked)
            except JourneysError:
                # The alerts are out; whom else they concern can be asked at any time.
                continue
            counted = [
                each._replace(state=state)
                for each in asked
                if (state := each.note(counts.get(each.state.episode_id, 0))) is not None
            ]
            if counted:
                await self.send(counted, read_clock_ms())
            await asyncio.sleep(COUNT_PAUSE_SECONDS)

    def _count_affected(self, asked: Sequence[Told]) -> dict[str, int]:
        stores = [each.state.store_id for each in asked]
        parameters = {
            "episodes": [each.state.episode_id for each in asked],
            "skus": [each.state.subject.removesuffix(f"@{store}") for each, store in zip(asked, stores, strict=True)],
            "stores": stores,
            "customers": [each.customer for each in asked],
        }
        return {str(episode_id): int(count) for episode_id, count in self._writer.query(COUNT_AFFECTED, parameters)}

    def forget(self) -> None:
        """Stop counting: the partitions are going away."""
        self._asked.clear()
        if self._answering is not None:
            self._answering.cancel()
            self._answering = None


def _caused_ms(state: EpisodeState) -> int:
    return state.opened_ms if state.status == "open" else state.last_seen_ms
