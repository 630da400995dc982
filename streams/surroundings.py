"""What a worker knows besides the touchpoints that it reads: the rules in force, facts, and which sources are alive.

Shell: it looks at files, reads topic `facts` and speaks on it, and tells the pipeline what has changed.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from schemas.durations import to_milliseconds
from schemas.errors import Transient
from schemas.topics import FACTS
from sinks.state_queries import CLOCK_MS, OPEN_SOURCE_ALERTS, STOCK_FACTS
from sinks.writer import Writer
from streams.clock import check_clock, read_clock_ms
from streams.episodes import Context
from streams.fact_decoding import FactArrival
from streams.fact_feed import FactFeed
from streams.fact_rows import fact_rows, read_fact
from streams.facts import FactBook
from streams.metrics import Metrics
from streams.outbox import Outbox
from streams.pipeline import Pipeline
from streams.rhythm import Guard
from streams.rule_watch import RuleWatch
from streams.silence import SilentSource, judge_sources

RULES_SECONDS = 2.0
CLOCK_SECONDS = 60.0
RETRY_SECONDS = 2.0
SOURCES_SECONDS = 5.0
logger = logging.getLogger("journeys.worker")


class Surroundings:
    """Keeps a pipeline's context up to date."""

    def __init__(
        self, rules: RuleWatch, book: FactBook, guard: Guard, pipeline: Pipeline, outbox: Outbox, writer: Writer,
        metrics: Metrics,
    ) -> None:  # fmt: skip
        self._rules = rules
        self._book = book
        self._guard = guard
        self._pipeline = pipeline
        self._outbox = outbox
        self._writer = writer
        self._metrics = metrics
        self._silent_alerts: frozenset[SilentSource] | None = None
        self._reading = ThreadPoolExecutor(max_workers=1, thread_name_prefix="surroundings")
        pipeline.context = Context(book, {})
        pipeline.hear = guard.feed
        metrics.rules.set(len(rules.rule_set.rules))
        metrics.rules_broken.set(0)

    async def take_facts(self, arrivals: list[FactArrival]) -> None:
        """Take facts from the topic."""
        skus: set[str] = set()
        for fact, _, _ in arrivals:
            self._metrics.facts.labels(fact.type).inc()
            skus |= self._book.feed(fact)
            self._guard.take(fact)
        self._pipeline.take_facts(fact_rows(arrivals), skus)

    async def follow_facts(self, feed: FactFeed) -> None:
        """Read back what was stored, as the topic keeps of each product the latest only; then follow the topic."""
        for row in await self._ask(STOCK_FACTS):
            self._book.feed(read_fact(row))
        self._pipeline.take_facts([], self._pipeline.wished)
        await feed.run()

    async def _ask(self, sql: str) -> list[tuple[Any, ...]]:
        """ClickHouse's answer, however long it is away. Raises Terminal."""
        while True:
            try:
                return await asyncio.get_running_loop().run_in_executor(self._reading, self._writer.query, sql)
            except Transient as error:
                logger.warning("%s; asking again in %g s", error, RETRY_SECONDS)
                await asyncio.sleep(RETRY_SECONDS)

    async def check_clock(self, bound: timedelta) -> None:
        """Compare the clocks, if ClickHouse is there. Raises `Misconfigured` when they differ by more."""
        before_ms = read_clock_ms()
        try:
            [(theirs_ms,)] = await asyncio.get_running_loop().run_in_executor(
                self._reading, self._writer.query, CLOCK_MS
            )
        except Transient as error:
            logger.warning("%s; its clock is compared later", error)
            return
        check_clock(before_ms, theirs_ms, read_clock_ms(), to_milliseconds(bound))

    async def watch_clock(self, bound: timedelta) -> None:
        """Compare the clocks again and again. Runs until cancelled."""
        while True:
            await asyncio.sleep(CLOCK_SECONDS)
            await self.check_clock(bound)

    async def watch_rules(self) -> None:
        """Take changed rule files over, and say when they are broken. Runs until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(RULES_SECONDS)
            former = self._rules.fault
            has_changed = await loop.run_in_executor(self._reading, self._rules.reload)
            fault = self._rules.fault
            self._metrics.rules_broken.set(fault is not None)
            if fault is not None and fault != former:
                logger.error("Rule files are broken, and the rules of before are kept: %s", fault)
            if has_changed:
                await self._pipeline.adopt(self._rules.plan)
                self._metrics.rules.set(len(self._rules.rule_set.rules))
                self._metrics.rule_changes.inc()
                logger.warning("%d rules are in force now; %s", len(self._rules.rule_set.rules), self._rules.changes)

    async def watch_sources(self) -> None:
        """State what was heard of the sources, and tell of those that have gone silent. Runs until cancelled."""
        while True:
            await asyncio.sleep(SOURCES_SECONDS)
            await self.state_sources()
            now_ms = read_clock_ms()
            silent = self._guard.silent(now_ms)
            self._pipeline.context = Context(self._book, silent)
            for source in self._guard.last_seen_ms:
                self._metrics.silent_sources.labels(source).set(source in silent)
            await self._tell(silent, now_ms)

    async def state_sources(self, *, closing: bool = False) -> None:
        """Let the other workers know what this one has heard."""
        for key, value in self._guard.statements(read_clock_ms(), closing=closing):
            await self._outbox.send(FACTS, key, value)

    async def _tell(self, silent: dict[str, int], now_ms: int) -> None:
        if not self._pipeline.speaks_for_all:
            self._silent_alerts = None
            return
        if self._silent_alerts is None:
            self._silent_alerts = frozenset(SilentSource(*row) for row in await self._ask(OPEN_SOURCE_ALERTS))
        self._silent_alerts, states = judge_sources(silent, self._silent_alerts, now_ms)
        for state in states:
            await self._pipeline.tell_of_source(state, now_ms)

    def close(self) -> None:
        """End the threads."""
        self._reading.shutdown(wait=False, cancel_futures=True)
