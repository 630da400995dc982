"""Supervised child processes: started, checked for health, logged, restarted when they die, and stopped in reverse.

Each process has a keeper: a thread that starts it, waits for its end and starts it again. The kernel ties a tethered
process to the thread that forked it (see `deploy.local.tether`), so no process outlives this one, even if it is killed.
A process runs in a session of its own: Ctrl-C on the terminal reaches the supervisor only, which then stops the rest.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from deploy.local import tether
from schemas.errors import Misconfigured

HEALTH_INTERVAL_SECONDS = 0.01
QUOTED_LOG_LINES = 5
QUOTED_LOG_BYTES = 4_096
MAX_LOG_BYTES = 10 * 1024 * 1024


class State(StrEnum):
    """What a process is doing, as its keeper sees it."""

    STOPPED = "stopped"
    STARTING = "starting"
    HEALTHY = "healthy"
    RESTARTING = "restarting"
    FAILED = "failed"


@dataclass(frozen=True)
class ProcessSpec:
    """What to run and how to tell that it works. `is_healthy` returns within a few seconds and does not raise."""

    name: str
    command: tuple[str, ...]
    directory: Path
    is_healthy: Callable[[], bool]
    environment: Mapping[str, str] | None = None


@dataclass(frozen=True)
class RestartPolicy:
    """How long a process may take to become healthy or to stop, and how often it may die."""

    start_timeout_seconds: float = 30.0
    stop_timeout_seconds: float = 5.0
    first_delay_seconds: float = 0.1
    max_delay_seconds: float = 5.0
    rapid_seconds: float = 5.0
    max_rapid_failures: int = 5

    def count_rapid(self, rapid_failures: int, healthy_seconds: float) -> int:
        """Return the number of failures in a row after one more, which came after `healthy_seconds` of health."""
        return rapid_failures + 1 if healthy_seconds < self.rapid_seconds else 1

    def delay_seconds(self, rapid_failures: int) -> float:
        """Return how long to wait before the next start: doubling, up to the bound."""
        return float(min(self.first_delay_seconds * 2.0 ** max(rapid_failures - 1, 0), self.max_delay_seconds))


@dataclass(frozen=True)
class ProcessStatus:
    """A snapshot of one process; `failure` is one line, given when its keeper has given up."""

    name: str
    state: State
    pid: int | None
    restarts: int
    failure: str | None


class Process:
    """One supervised process. All methods may be called from any thread."""

    def __init__(
        self,
        spec: ProcessSpec,
        log_file: Path,
        policy: RestartPolicy | None = None,
        on_healthy: Callable[[], None] = lambda: None,
    ) -> None:
        self.spec = spec
        self._on_healthy = on_healthy
        self.log_file = log_file
        self._policy = policy or RestartPolicy()
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._keeper: threading.Thread | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._state = State.STOPPED
        self._failure: str | None = None
        self._restarts = 0
        self._rapid_failures = 0
        self._killed_on_purpose = False
        self._log_offset = 0

    @property
    def status(self) -> ProcessStatus:
        """What the process is doing now."""
        with self._changed:
            pid = self._child.pid if self._child is not None else None
            return ProcessStatus(self.spec.name, self._state, pid, self._restarts, self._failure)

    @property
    def pid(self) -> int | None:
        """The process id; None while nothing runs."""
        return self.status.pid

    @property
    def restarts(self) -> int:
        """How often the process died and was started again."""
        return self.status.restarts

    def start(self) -> None:
        """Begin to start the process and return at once; do nothing when it is being kept already."""
        with self._changed:
            if self._keeper is not None and self._keeper.is_alive():
                return
            self._stopping.clear()
            self._failure, self._rapid_failures, self._state = None, 0, State.STARTING
            self._killed_on_purpose = False
            self._keeper = threading.Thread(target=self._keep, name=f"keeper-{self.spec.name}", daemon=True)
            self._keeper.start()

    def wait_healthy(self, timeout_seconds: float = 30.0) -> None:
        """Block until the process is healthy. Raises `Misconfigured` when it failed, was stopped or takes too long."""
        settled = (State.HEALTHY, State.FAILED, State.STOPPED)
        with self._changed:
            self._changed.wait_for(lambda: self._state in settled, timeout_seconds)
            if self._state is not State.HEALTHY:
                reason = (
                    self._failure or f"{self.spec.name} was not healthy within {timeout_seconds:g} s: {self._state}"
                )
                raise Misconfigured(reason)

    def stop(self) -> None:
        """Stop the process and stop keeping it: SIGTERM, a bounded wait, SIGKILL. `start()` starts it again."""
        self._stopping.set()
        keeper = self._keeper
        if keeper is None:
            return
        self._signal(signal.SIGTERM)
        # A suspended process takes the signal only once it goes on.
        self._signal(signal.SIGCONT)
        keeper.join(self._policy.stop_timeout_seconds)
        while keeper.is_alive():
            self._signal(signal.SIGKILL)
            keeper.join(1.0)

    def kill(self) -> None:
        """Kill the process with SIGKILL, as a fault test does; it is restarted, and this death counts for no rapid one.

        On return the state is no longer healthy, so `wait_healthy` waits for the next life.
        """
        with self._changed:
            if self._child is not None:
                self._killed_on_purpose = True
                self._enter(State.RESTARTING)
        self._signal(signal.SIGKILL)

    def suspend(self) -> None:
        """Freeze the process with SIGSTOP; its connections stay open and nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a suspended process go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        child = self._child
        if child is not None:
            child.send_signal(number)

    def _enter(self, state: State) -> None:
        with self._changed:
            self._state = state
            self._changed.notify_all()

    def _keep(self) -> None:
        try:
            while not self._stopping.is_set():
                self._live_once()
                if self._failure is not None:
                    break
                self._stopping.wait(self._policy.delay_seconds(self._rapid_failures))
        except OSError as error:
            self._failure = f"{self.spec.name} could not be kept: {error}"
        finally:
            self._enter(State.FAILED if self._failure is not None else State.STOPPED)

    def _live_once(self) -> None:
        with self._changed:
            child = self._child = self._spawn()
            if self._state is State.RESTARTING:
                self._restarts += 1
        try:
            healthy_since = self._await_health(child)
            code = child.wait()
        finally:
            if child.returncode is None:
                child.kill()
                child.wait()
            with self._changed:
                self._child = None
        if not self._stopping.is_set():
            self._judge_death(code, healthy_since)

    def _spawn(self) -> subprocess.Popen[bytes]:
        if self.log_file.exists() and self.log_file.stat().st_size > MAX_LOG_BYTES:
            self.log_file.replace(self.log_file.with_suffix(".old.log"))
        tethered = [sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), *self.spec.command]
        with self.log_file.open("ab") as log:
            self._log_offset = log.tell()
            return subprocess.Popen(
                tethered,
                cwd=self.spec.directory,
                env=None if self.spec.environment is None else dict(self.spec.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _await_health(self, child: subprocess.Popen[bytes]) -> float | None:
        """Return the moment of health; None when the process died before it, was stopped or had to be killed."""
        deadline = time.monotonic() + self._policy.start_timeout_seconds
        while child.poll() is None and not self._stopping.wait(HEALTH_INTERVAL_SECONDS):
            if self.spec.is_healthy() and child.poll() is None:
                with self._changed:
                    if not self._killed_on_purpose:
                        self._enter(State.HEALTHY)
                self._on_healthy()
                return time.monotonic()
            if time.monotonic() > deadline:
                child.kill()
                return None
        if child.poll() is None:
            # The stop may have come before there was a process to signal.
            child.terminate()
        return None

    def _judge_death(self, code: int, healthy_since: float | None) -> None:
        first_start = self._state is State.STARTING
        self._enter(State.RESTARTING)
        if self._killed_on_purpose:
            self._killed_on_purpose = False
            self._rapid_failures = 0
            return
        healthy_seconds = time.monotonic() - healthy_since if healthy_since is not None else 0.0
        self._rapid_failures = self._policy.count_rapid(self._rapid_failures, healthy_seconds)
        if first_start or self._rapid_failures >= self._policy.max_rapid_failures:
            self._failure = self._describe_failure(code, first_start)

    def _describe_failure(self, code: int, first_start: bool) -> str:
        end = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"
        patience = f"{self._policy.start_timeout_seconds:g} s"
        history = (
            f"{end} before it was healthy (it has {patience} for that)"
            if first_start
            else f"{end}, {self._rapid_failures} times in a row"
        )
        quoted = " | ".join(self._last_log_lines()) or "nothing was logged"
        return f"{self.spec.name} {history}; last words: {quoted}{self._log_place()}"

    def _log_place(self) -> str:
        return f" (log: {self.log_file})"

    def _last_log_lines(self) -> list[str]:
        with self.log_file.open("rb") as log:
            end = log.seek(0, os.SEEK_END)
            log.seek(max(self._log_offset, end - QUOTED_LOG_BYTES))
            text = log.read().decode("utf-8", "replace")
        return [line.strip() for line in text.splitlines() if line.strip()][-QUOTED_LOG_LINES:]


class Supervisor:
    """Several processes that start together and stop in reverse order.

    `on_healthy` is called from a keeper's thread each time that one has become healthy.
    """

    def __init__(
        self, log_directory: Path, policy: RestartPolicy | None = None, on_healthy: Callable[[], None] = lambda: None
    ) -> None:
        self._log_directory = log_directory
        self._on_healthy = on_healthy
        self._policy = policy or RestartPolicy()
        self._processes: dict[str, Process] = {}

    def start(self, specs: Sequence[ProcessSpec]) -> None:
        """Start all at once and block until every one is healthy. Raises `Misconfigured` after stopping them again."""
        self._log_directory.mkdir(parents=True, exist_ok=True)
        for spec in specs:
            log_file = self._log_directory / f"{spec.name}.log"
            self._processes[spec.name] = Process(spec, log_file, self._policy, self._on_healthy)
        try:
            for process in self._processes.values():
                process.start()
            for process in self._processes.values():
                # The keeper bounds the start; the margin is for one last health check and the end of the process.
                process.wait_healthy(self._policy.start_timeout_seconds + 10)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop all, last started first; return when none is left."""
        for process in reversed(self._processes.values()):
            process.stop()

    def process(self, name: str) -> Process:
        """Return a process by name. Raises `KeyError` when there is none."""
        return self._processes[name]

    def status(self) -> list[ProcessStatus]:
        """Return a snapshot of every process, in starting order."""
        return [process.status for process in self._processes.values()]

    @property
    def failure(self) -> str | None:
        """The first failure of a process that was given up; None while all are kept."""
        return next((status.failure for status in self.status() if status.failure), None)
