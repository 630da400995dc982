"""`run_worker`: builds a worker, wires it to Faust, runs it until it is stopped or cannot go on."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, NoReturn, cast

from aiokafka.errors import KafkaConnectionError, KafkaError
from faust.types import TP
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from schemas.errors import JourneysError, Misconfigured
from schemas.settings import Settings
from schemas.topics import FACTS
from schemas.touchpoint import READ_VERSIONS
from sinks.writer import ClickHouseWriter
from streams.app import WorkerApp, create_app
from streams.clock import EndOffsets
from streams.configuration import Configuration
from streams.connections import Connections
from streams.fact_feed import FactFeed
from streams.fact_rows import PARTITION as FACTS_PARTITION
from streams.facts import FactBook
from streams.metrics import Metrics
from streams.outbox import Outbox
from streams.pipeline import STOP_SECONDS, TICK_SECONDS, TOPICS, Pipeline
from streams.quiet_log import quieten_log
from streams.records import Refusal
from streams.rhythm import Guard, SilenceSettings
from streams.rule_watch import RuleWatch
from streams.rules.loading import directories
from streams.score_file import load_weights
from streams.surroundings import Surroundings
from streams.worker_note import leave_note

CANNOT_GO_ON = 70
REFRESH_SECONDS = 1.0
SWEEP_SECONDS = 60.0
FIRST_SWEEP_SECONDS = 3.0
"""After partitions have come; then in doubling steps. It is then that a former owner may wake up and write on."""
logger = logging.getLogger("journeys.worker")


def fail_stop(error: BaseException) -> NoReturn:
    """End the process at once: restarting an agent past a hole would lose what fell into it."""
    if isinstance(error, JourneysError):
        logger.critical("The worker cannot go on: %s", error)
    else:
        logger.critical("The worker cannot go on", exc_info=error)
    logging.shutdown()
    sys.stderr.flush()
    os._exit(CANNOT_GO_ON)


def run_worker(settings: Settings, connections: Connections, versions: frozenset[int] = READ_VERSIONS) -> NoReturn:
    """Run one worker, which reads these versions of touchpoints.

    SIGTERM or SIGINT end it with status 0 after a last flush; what it cannot do ends it with 70.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    for noisy in ("faust", "mode", "aiokafka"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # Its warnings come with a traceback each; our own line says the same.
    logging.getLogger("clickhouse_driver").setLevel(logging.ERROR)
    # Until Faust listens to it: nothing was taken yet, so there is nothing to write.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    app = create_app(settings, connections)
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    tune_garbage_collection()
    with _announced(settings, registry):
        runner = Runner(app, settings, connections, Metrics(registry), versions)
        app.opening = runner.start
        runner.wire()
        worker = app.Worker(loop=loop, loglevel="WARNING", redirect_stdouts=False, quiet=True)
        # It writes cursor codes even where no terminal is.
        worker.spinner = None
        worker.execute_from_commandline()
    sys.exit(0)


def tune_garbage_collection() -> None:
    """Look for cycles only when `look_for_cycles` is called: customers form none, and walking them costs a lot."""
    gc.disable()
    look_for_cycles()


def look_for_cycles() -> None:
    """Free what only cycles keep, among what has come since the last time. Takes some 100 ms for a busy minute."""
    gc.collect()
    gc.freeze()


@contextlib.contextmanager
def _announced(settings: Settings, registry: CollectorRegistry) -> Iterator[None]:
    """Serve /metrics, and leave a note that says where it is."""
    try:
        server, thread = start_http_server(settings.metrics_port, settings.metrics_host, registry)
    except OSError as error:
        raise Misconfigured(
            f"metrics_port {settings.metrics_port} is taken: set JOURNEYS_METRICS_PORT to another, or 0 for a free one"
        ) from error
    directory = settings.worker_notes_dir or settings.data_dir / "workers"
    try:
        with leave_note(directory, f"http://{settings.metrics_host}:{server.server_port}/metrics"):
            yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=2)


class Runner:
    """Connects one worker to its app: what runs when."""

    def __init__(
        self,
        app: WorkerApp,
        settings: Settings,
        connections: Connections,
        metrics: Metrics,
        versions: frozenset[int],
    ) -> None:
        self.app = app
        servers, options = connections.kafka_servers, connections.aiokafka_options
        writer = ClickHouseWriter(connections.clickhouse_options)
        rules = RuleWatch(directories(settings.rules_dir))
        configuration = Configuration.of(settings, rules.plan, load_weights(), versions)
        guard = Guard(SilenceSettings(live_within_ms=configuration.live_within_ms))
        self.outbox = Outbox(servers, options)
        self.ends = EndOffsets(servers, options, metrics)
        self.pipeline = Pipeline(settings, configuration, app, writer, self.outbox, self.ends, metrics, fail_stop)
        self.surroundings = Surroundings(rules, FactBook(), guard, self.pipeline, self.outbox, writer, metrics)
        self.facts = FactFeed(servers, options, configuration.door, self.surroundings.take_facts, self._refuse_fact)
        # Beyond it, the touchpoints of whose clock is right would be refused here.
        self.clock_bound = settings.furthest_ahead
        self._tasks: list[asyncio.Task[None]] = []

    def wire(self) -> None:
        """Register the agent and the signals."""
        app = self.app
        topic = app.topic(*TOPICS, value_serializer="raw", key_serializer="raw")
        app.agent(topic, name="touchpoints", concurrency=1)(self._read)
        moments: list[tuple[Any, Any]] = [
            (app.on_partitions_assigned, self._assigned),
            (app.on_partitions_revoked, self._revoked),
            (app.on_before_shutdown, self._stopping),
        ]
        for moment, handler in moments:
            moment.connect(handler, weak=False)

    async def start(self) -> None:
        """Connect to Kafka and start the timers; called before the consumer starts."""
        # Faust has set up the log only now.
        quieten_log()
        try:
            await self.outbox.start()
            await self.ends.start()
            await self.surroundings.check_clock(self.clock_bound)
        except KafkaConnectionError as error:
            fail_stop(Misconfigured(f"cannot reach Kafka: {error}"))
        except JourneysError as error:
            fail_stop(error)
        jobs = (self.pipeline.flush_when_due, self._tick, self._refresh, self._sweep, self._follow_facts)
        for job in (*jobs, self.surroundings.watch_rules, self.surroundings.watch_sources, self._watch_clock):
            self._tasks.append(asyncio.create_task(_guarded(job)))

    async def _read(self, stream: Any) -> None:
        async def read() -> None:
            async for event in stream.noack().events():
                message = event.message
                await self.pipeline.take(message.topic, message.partition, message.generation_id, message.value)

        await _guarded(read)

    async def _follow_facts(self) -> None:
        await self.surroundings.follow_facts(self.facts)

    async def _watch_clock(self) -> None:
        await self.surroundings.watch_clock(self.clock_bound)

    async def _refuse_fact(self, refusal: Refusal) -> None:
        await self.pipeline.refusals.add(FACTS, FACTS_PARTITION, refusal)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            await self.pipeline.tick()

    async def _sweep(self) -> None:
        pause_seconds, tenure = FIRST_SWEEP_SECONDS, self.pipeline.tenure
        while True:
            await asyncio.sleep(pause_seconds)
            await self.pipeline.sweep()
            if pause_seconds == SWEEP_SECONDS and not self.pipeline.is_behind:
                look_for_cycles()
            pause_seconds = min(2 * pause_seconds, SWEEP_SECONDS)
            if tenure != self.pipeline.tenure:
                pause_seconds, tenure = FIRST_SWEEP_SECONDS, self.pipeline.tenure

    async def _refresh(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            await self.pipeline.intake.seek_overdue()
            try:
                await self.pipeline.refresh(dict(cast(Any, self.app.consumer)._committed_offset))
            except KafkaError as error:
                logger.warning("Kafka did not say where its partitions end: %s", error)

    async def _assigned(self, app: Any, assigned: set[TP], **_: Any) -> None:
        await self.pipeline.assign(assigned)

    async def _revoked(self, app: Any, revoked: set[TP], **_: Any) -> None:
        await self.pipeline.revoke()

    async def _stopping(self, app: Any, **_: Any) -> None:
        await self.surroundings.state_sources(closing=True)
        await self.pipeline.revoke(STOP_SECONDS)
        for task in self._tasks:
            task.cancel()
        self.surroundings.close()
        self.pipeline.close()
        await self.ends.stop()
        await self.outbox.stop()


async def _guarded(job: Callable[[], Awaitable[None]]) -> None:
    try:
        await job()
    except Exception as error:
        fail_stop(error)
