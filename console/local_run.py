"""The platform on this machine: broker, ClickHouse, schema, topics and workers, kept alive together."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from console.invocation import kafka_options
from console.kafka_positions import read_lag
from console.worker_files import find_workers, look_at_workers
from deploy.local.stack import KafkaKind, LocalStack
from deploy.local.supervisor import Process, ProcessSpec, RestartPolicy, State
from deploy.services import Services, clickhouse_client_options, make_local_stack
from producers.topics import create_topics
from schemas.errors import JourneysError, Terminal, Transient
from schemas.settings import Settings
from sinks.migrate import migrate

WORKER_POLICY = RestartPolicy(start_timeout_seconds=60.0, stop_timeout_seconds=10.0)
WATCH_INTERVAL_SECONDS = 0.5
Say = Callable[[str], None]


@contextmanager
def interruptible() -> Iterator[None]:
    """Turn the first SIGTERM or Ctrl-C into KeyboardInterrupt; further ones cannot disturb the stopping.

    Its argument is the signal's number.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        for each in before:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt(number)

    before: dict[int, Any] = {signal.SIGINT: None, signal.SIGTERM: None}
    for number in before:
        before[number] = signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class LocalRun:
    """A context manager: on entry all parts are started and healthy, on exit all are stopped, the workers first.

    Parts for which the settings name a server are not started, and so `kafka` and `brokers`, as of `LocalStack`, may
    have no effect. `say` is told each step in one line. Entering raises `Misconfigured`, `Transient` or `Terminal`,
    having stopped what was started.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        workers: int = 1,
        ports: dict[str, int] | None = None,
        kafka: KafkaKind = "memory",
        brokers: int = 1,
        say: Say = lambda _: None,
    ) -> None:
        self.settings = settings
        self._say = say
        self._worker_count = workers
        self._stack = make_local_stack(settings, kafka=kafka, brokers=brokers, **(ports or {}))
        self._workers: list[Process] = []
        self._joining: set[str] = set()
        self._restarts: dict[str, int] = {}
        self._settled_restarts = 0
        self.services: Services

    @property
    def stack(self) -> LocalStack | None:
        """The local servers; None when the settings name both."""
        return self._stack

    def __enter__(self) -> LocalRun:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start(self) -> None:
        if self._stack is not None:
            self._stack.start()
            *others, last = (status.name for status in self._stack.status())
            self._say(f"started {', '.join(others)}{' and ' * bool(others)}{last}")
        self.services = Services.resolve(self.settings)
        done = migrate(clickhouse_client_options(self.services.clickhouse_url, self.settings))
        self._say(f"schema: {f'{len(done)} migrations run' if done else 'up to date'}")
        created = self._create_topics()
        self._say(f"topics: {f'created {len(created)}' if created else 'all there'}")
        self._start_workers()

    def _create_topics(self) -> list[str]:
        return create_topics(kafka_options(self.services, self.settings), self.settings.partitions)

    def _start_workers(self) -> None:
        log_directory = self.settings.data_dir.absolute() / "log"
        log_directory.mkdir(parents=True, exist_ok=True)
        for number in range(1, self._worker_count + 1):
            self._workers.append(self._make_worker(f"worker-{number}", log_directory))
        for worker in self._workers:
            worker.start()
        for worker in self._workers:
            worker.wait_healthy(WORKER_POLICY.start_timeout_seconds + 10)
        if self._workers:
            each = "it is joining its" if self._worker_count == 1 else "they are joining their"
            self._say(f"started {self._worker_count} worker{'s' if self._worker_count > 1 else ''}: {each} group")
        self._joining = {worker.spec.name for worker in self._workers}

    def _make_worker(self, name: str, log_directory: Path) -> Process:
        spec = ProcessSpec(
            name=name,
            command=(sys.executable, "-m", "console.cli", "worker"),
            directory=Path.cwd(),
            is_healthy=lambda: process.pid in {worker.pid for worker in find_workers(self.settings.data_dir)},
            environment=self._worker_environment(),
        )
        process = Process(spec, log_directory / f"{name}.log", WORKER_POLICY)
        return process

    def _worker_environment(self) -> dict[str, str]:
        environment = {**os.environ, "JOURNEYS_DATA_DIR": str(self.settings.data_dir.absolute())}
        if self._worker_count > 1 or "metrics_port" not in self.settings.model_fields_set:
            environment["JOURNEYS_METRICS_PORT"] = "0"
        if self.settings.identifier_key is not None:
            environment["JOURNEYS_IDENTIFIER_KEY"] = self.settings.identifier_key.get_secret_value()
        return environment

    @property
    def is_ready(self) -> bool:
        """Whether all workers had joined their group when they were last watched."""
        return not self._joining

    def watch(self) -> None:
        """Look at everything once; say what was restarted and is ready. Raises `Terminal` when a part was given up."""
        for process in self._workers:
            status = process.status
            if self._tell_restart(status.name, status.restarts):
                self._joining.add(status.name)
            if status.failure:
                raise Terminal(status.failure)
        self._look_for_ready()
        if self._stack is None:
            return
        for status in self._stack.status():
            self._tell_restart(status.name, status.restarts)
            if not self._stack.keeps_topics and status.name == "kafka" and status.state is State.HEALTHY:
                self._refill_broker(status.restarts)
        if self._stack.failure:
            raise Terminal(self._stack.failure)

    def run_until(self, stop: Callable[[], bool]) -> None:
        """Watch until `stop` says so, the process is interrupted or a part is given up."""
        while not stop():
            self.watch()
            time.sleep(WATCH_INTERVAL_SECONDS)

    def _look_for_ready(self) -> None:
        if not self._joining:
            return
        joined = {look.pid for look in look_at_workers(self.settings.data_dir) if look.has_joined}
        self._joining -= {process.spec.name for process in self._workers if process.pid in joined}
        if not self._joining:
            self._say("ready: touchpoints are taken")

    def _tell_restart(self, name: str, restarts: int) -> bool:
        if restarts <= self._restarts.get(name, 0):
            return False
        self._restarts[name] = restarts
        log = self.settings.data_dir / "log" / f"{name}.log"
        self._say(f"{name} died and is started again (restart {restarts}; log: {log})")
        return True

    def _refill_broker(self, restarts: int) -> None:
        """Topics that were in memory only are made anew after a restart of their broker, and workers join afresh."""
        if restarts <= self._settled_restarts:
            return
        try:
            self._create_topics()
        except Transient:
            # It has just come up; the next look tries again.
            return
        self._settled_restarts = restarts
        self._say(
            "kafka lost its memory in the restart: topics are created anew, positions begin at 0; "
            "touchpoints that no worker had read are gone, stored ones are safe in ClickHouse"
        )
        for worker in self._workers:
            worker.stop()
            worker.start()
            self._restarts[worker.spec.name] = worker.restarts
            self._joining.add(worker.spec.name)

    def stop_workers(self) -> None:
        """Stop the workers, which write what they hold. May be called again."""
        if self._workers:
            with ThreadPoolExecutor(len(self._workers)) as pool:
                list(pool.map(Process.stop, self._workers))
            self._workers = []

    def count_unread(self) -> int:
        """Records that the memory-only broker holds, that no worker has stored, and that are lost when it stops.

        0 where another broker keeps them, or where this one does not answer any more.
        """
        if self._stack is None or self._stack.keeps_topics or not self.services.kafka_is_local:
            return 0
        with suppress(Transient):
            return read_lag(kafka_options(self.services, self.settings), self.settings.consumer_group)
        return 0

    def stop(self) -> None:
        """Stop the workers, which write what they hold, and then the servers. May be called again."""
        self.stop_workers()
        if self._stack is not None:
            with suppress(JourneysError):
                self._stack.stop()
