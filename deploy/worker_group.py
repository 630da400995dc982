"""One worker that uses several cores: a parent that keeps worker processes and is one worker to whoever runs it.

The parent reads no touchpoints and imports nothing of Faust. Its processes are members of one consumer group, as if so
many workers had been started by hand.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from types import FrameType

from prometheus_client import CollectorRegistry, start_http_server

from deploy.group_metrics import GroupPage, fetch_page
from deploy.local import tether
from deploy.local.supervisor import QUOTED_LOG_LINES, Process, ProcessSpec, RestartPolicy, State
from schemas.errors import Misconfigured
from schemas.settings import MOST_PROCESSES, Settings
from streams.worker_note import leave_note, note_path

CANNOT_GO_ON = 70
WATCH_SECONDS = 0.2
LAST_LINES_SECONDS = 1.0
STDERR = 2
# A worker gives its last flush 20 s and then closes its connections; one that takes longer hangs.
POLICY = RestartPolicy(start_timeout_seconds=60.0, stop_timeout_seconds=30.0)
logger = logging.getLogger("journeys.workers")

PassOn = Callable[[bytes], None]


def count_processes(wanted: int, usable_cores: int) -> int:
    """How many processes to run; `wanted` 0 is one for each usable core."""
    return min(wanted or usable_cores, MOST_PROCESSES)


def member_environment(environment: Mapping[str, str], notes: Path) -> dict[str, str]:
    """What a member is told: all that this process was, but for where its own page and its note are."""
    own = {
        "JOURNEYS_METRICS_HOST": "127.0.0.1",
        "JOURNEYS_METRICS_PORT": "0",
        "JOURNEYS_WORKER_NOTES_DIR": str(notes),
    }
    # Names of settings count in any case, and the one given here must be the only one.
    return {**{name: value for name, value in environment.items() if name.upper() not in own}, **own}


def exit_status(codes: Sequence[int]) -> int:
    """What the whole exits with: the first code of a member that is no clean end, a signal as a shell gives it.

    A member that SIGTERM ended had not begun to read, so nothing of it is lost.
    """
    failed = [code for code in codes if code not in (0, -signal.SIGTERM)]
    if not failed:
        return 0
    return failed[0] if failed[0] > 0 else 128 - failed[0]


class Member(Process):
    """One process of the group. Each line that it writes is passed on with its number in front."""

    def __init__(
        self,
        number: int,
        command: Sequence[str],
        environment: Mapping[str, str],
        notes: Path,
        pass_on: PassOn,
        policy: RestartPolicy = POLICY,
    ) -> None:
        spec = ProcessSpec(f"worker process {number}", tuple(command), Path.cwd(), self._has_note, environment)
        super().__init__(spec, Path("/dev/stderr"), policy)
        self.number = number
        self._notes = notes
        self._pass_on = pass_on
        self._latest: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._words: deque[str] = deque(maxlen=QUOTED_LOG_LINES)

    def end(self) -> int:
        """Stop it for good; returns its exit code, 0 when there was nothing left to stop."""
        self.stop()
        self._await_words()
        return 0 if self._latest is None else self._latest.wait()

    def page(self) -> str | None:
        """Its /metrics page; None when it does not answer."""
        return fetch_page(self._note())

    def _has_note(self) -> bool:
        return self._note().exists()

    def _note(self) -> Path:
        return note_path(self._notes, self.pid or 0)

    def _spawn(self) -> subprocess.Popen[bytes]:
        self._words.clear()
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), *self.spec.command],
            cwd=self.spec.directory,
            env=dict(self.spec.environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._latest = child
        self._reader = threading.Thread(target=self._read, args=(child,), name=f"output-{self.number}", daemon=True)
        self._reader.start()
        return child

    def _read(self, child: subprocess.Popen[bytes]) -> None:
        assert child.stdout is not None
        with child.stdout as lines:
            for line in lines:
                self._words.append(line.decode("utf-8", "replace").strip())
                # What nobody reads any more is read here all the same: a full pipe would hold the member up.
                with suppress(OSError):
                    self._pass_on(b"[%d] %s\n" % (self.number, line.rstrip(b"\n")))

    def _await_words(self) -> None:
        if self._reader is not None:
            self._reader.join(LAST_LINES_SECONDS)

    def _judge_death(self, code: int, healthy_since: float | None) -> None:
        self._await_words()
        super()._judge_death(code, healthy_since)
        # It ended by itself, and what it held is somebody else's now.
        self._latest = None
        if self._failure is None:
            logger.warning("%s ended with %d and is started again", self.spec.name, code)

    def _last_log_lines(self) -> list[str]:
        return [line for line in self._words if line]

    def _log_place(self) -> str:
        # Its lines have been passed on, and stand above.
        return ""


def run_worker_group(settings: Settings, count: int, command: Sequence[str]) -> int:
    """Keep `count` processes of the worker `command` until SIGTERM or SIGINT; returns the exit status.

    0 when each has made its last flush, 70 when one dies again and again, else the first status that is not 0. Call it
    in the main thread. Raises `Misconfigured` when the metrics port is taken or the data directory cannot be made.
    """
    # The command line leaves a handler that says nothing.
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr, force=True
    )
    with ExitStack() as opened:
        stops = opened.enter_context(_stop_signals())
        notes = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="journeys-workers-")))
        environment = member_environment(os.environ, notes)
        members = [Member(number, command, environment, notes, _write_stderr) for number in range(count)]
        _make_data_dir(settings.data_dir)
        url = opened.enter_context(_serving(settings, members))
        try:
            for member in members:
                member.start()
            failure = _watch(members, stops, lambda: opened.enter_context(_announced(settings.data_dir, url, count)))
            if failure is not None:
                logger.critical("The worker cannot go on: %s", failure)
        finally:
            codes = _end(members)
    return exit_status(codes) if failure is None else CANNOT_GO_ON


def _make_data_dir(data_dir: Path) -> None:
    """Make the directory in which each member makes one of its own; alone, a worker does so by leaving its note."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Misconfigured(f"cannot use {data_dir} as the data directory: {error.strerror}") from error


def _watch(members: Sequence[Member], stops: SimpleQueue[int], announce: Callable[[], object]) -> str | None:
    """Wait for a signal, or for a member to be given up: then return why. Announce once, when all are healthy."""
    is_announced = False
    while True:
        states = [member.status for member in members]
        failure = next((status.failure for status in states if status.failure), None)
        if failure is not None:
            return failure
        if not is_announced and all(status.state is State.HEALTHY for status in states):
            announce()
            is_announced = True
        with suppress(Empty):
            stops.get(timeout=WATCH_SECONDS)
            return None


def _end(members: Sequence[Member]) -> list[int]:
    with ThreadPoolExecutor(len(members)) as pool:
        return list(pool.map(Member.end, members))


def _write_stderr(line: bytes) -> None:
    # Not by way of sys.stderr: its lock, held by a thread that cannot write, would break the end of this process.
    os.write(STDERR, line)


@contextmanager
def _stop_signals() -> Iterator[SimpleQueue[int]]:
    """Yield a queue of the signals that ask for the end; they do nothing else."""
    stops: SimpleQueue[int] = SimpleQueue()

    def ask(number: int, _: FrameType | None) -> None:
        stops.put(number)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stops
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _serving(settings: Settings, members: Sequence[Member]) -> Iterator[str]:
    """Serve the members' pages as one; yields its address."""
    registry = CollectorRegistry()
    registry.register(GroupPage({str(member.number): member.page for member in members}))
    try:
        server, thread = start_http_server(settings.metrics_port, settings.metrics_host, registry)
    except OSError as error:
        raise Misconfigured(
            f"metrics_port {settings.metrics_port} is taken: set JOURNEYS_METRICS_PORT to another, or 0 for a free one"
        ) from error
    try:
        yield f"http://{settings.metrics_host}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=2)


@contextmanager
def _announced(data_dir: Path, metrics_url: str, count: int) -> Iterator[None]:
    """Say that all run, and leave the note that a worker leaves, by which `journeys status` finds it."""
    logger.info("%d processes run, and their metrics are one page: %s", count, metrics_url)
    with leave_note(data_dir / "workers", metrics_url):
        yield
