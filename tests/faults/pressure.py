"""Pressure on ClickHouse: parts, memory or disk run out, or it dies in the midst of an insert."""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import pytest

from deploy.local.supervisor import Process
from schemas.errors import Transient
from sinks.writer import ClickHouseWriter, backoff_seconds
from tests.integration.harness import Feed, Platform, WorkerProcess, wait_until
from tests.integration.outage import CHUNK, LIMIT, Watch, survive

MEBIBYTE = 1 << 20
PER_SECOND = 800
FILES = 20_000
"""So many files fit on a small disk."""
FILES_LEFT = 40
"""Some of a flush fit in here: its first table alone has six parts of a dozen files each."""
# Root needs no user namespace of its own, which may be forbidden.
UNSHARE = ("unshare", "--mount") if os.geteuid() == 0 else ("unshare", "--mount", "--map-root-user")
MOUNT = 'mount -t tmpfs -o "$0" tmpfs data && exec "$@"'

WRITTEN = ("touchpoints", "journeys", "customer_state", "partition_progress")
SLOW_SECONDS = 0.3
INSERTING = "SELECT elapsed FROM system.processes WHERE query LIKE 'INSERT INTO journeys.%'"
RENAMES = "rename,renameat,renameat2"
WAITED = re.compile(r"\[?(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}).*ClickHouse.*; attempt (\d+), next in ([\d.]+) s")

Pressure = Callable[[Platform], AbstractContextManager[None]]


@dataclass
class PressedPlatform(Platform):
    """A platform whose ClickHouse has at most so much memory, or a small disk of its own.

    That disk is in memory and only the server's processes see it mounted: it is gone with them, however they end.
    """

    memory_bytes: int = 0
    disk_bytes: int = 0

    def _furnish(self, opened: ExitStack) -> None:
        database = self.stack.process("clickhouse")
        database.stop()
        if self.memory_bytes:
            path = self.directory / "clickhouse" / "config.xml"
            limit = f"<max_server_memory_usage>{self.memory_bytes}</max_server_memory_usage></clickhouse>"
            path.write_text(path.read_text("utf-8").replace("</clickhouse>", limit), "utf-8")
        if self.disk_bytes:
            command = (*_found(UNSHARE), *_mounting(self.disk_bytes), *database.spec.command)
            database.spec = replace(database.spec, command=command)
        database.start()
        database.wait_healthy()
        super()._furnish(opened)

    @property
    def disk(self) -> Path:
        """The server's data as it sees them."""
        path = self.directory.absolute() / "clickhouse" / "data"
        return Path(f"/proc/{self.stack.process('clickhouse').pid}/root{path}")


def _mounting(size_bytes: int) -> tuple[str, ...]:
    return (shutil.which("sh") or "/bin/sh", "-c", MOUNT, f"size={size_bytes},nr_inodes={FILES}")


def _found(command: Sequence[str]) -> tuple[str, ...]:
    return (shutil.which(command[0]) or command[0], *command[1:])


def need_small_disk(directory: Path) -> None:
    """Leave the test out where nobody may mount a small disk, or fail there when all must be tested."""
    if reason := _why_no_small_disk(directory):
        say = pytest.fail if os.environ.get("REQUIRE_APACHE_KAFKA") else pytest.skip
        say(f"no small disk for ClickHouse: {reason}")


def _why_no_small_disk(directory: Path) -> str | None:
    if shutil.which("unshare") is None:
        return "unshare is not installed"
    (directory / "data").mkdir()
    command = [*UNSHARE, *_mounting(MEBIBYTE), "true"]
    tried = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    return f"neither root nor a user namespace may mount one: {tried.stderr.strip()}" if tried.returncode else None


def endure(platform: Platform, records: Sequence[Feed], pressure: Pressure, says: str) -> None:
    """Feed records under a pressure that lasts until the worker says so and stops reading; all is exact afterwards.

    `says`: a pattern of its log line.
    """

    def press(platform: Platform, watch: Watch) -> None:
        [worker] = platform.workers
        with pressure(platform):
            wait_stuck(platform, worker, says, watch)

    buffered = survive(platform, records, press, PER_SECOND)
    assert LIMIT <= max(buffered) < LIMIT + CHUNK
    assert_patient(platform.workers[0])


def wait_stuck(platform: Platform, worker: WorkerProcess, says: str, watch: Watch = lambda: None) -> None:
    """Wait until a worker tries again what fails and is full, and stays so while more comes and it tries once more."""

    def attempts() -> int:
        watch()
        return len(re.findall(rf"ClickHouse.*{says}.*; attempt \d+", read_log(worker)))

    def is_full() -> bool:
        return attempts() > 0 and worker.metrics().total("buffer_rows") >= LIMIT

    wait_until(is_full, f"{worker.name} to say {says} and to stop reading")
    so_far = attempts()
    wait_until(lambda: attempts() > so_far and platform.lag() > LIMIT + 2 * CHUNK, "more to come, and one more attempt")


def read_log(worker: WorkerProcess) -> str:
    return worker.log.read_text("utf-8", "replace")


def assert_patient(worker: WorkerProcess) -> None:
    """It waited longer after each failed attempt, and as long as it said."""
    waits = [(datetime.fromisoformat(at), int(n), float(s)) for at, n, s in WAITED.findall(read_log(worker))]
    assert waits
    print("waits", [(attempt, seconds) for _, attempt, seconds in waits])
    for _, attempt, seconds in waits:
        # Both are rounded to what the log shows.
        assert seconds >= backoff_seconds(attempt, 1) - 0.06
    for (at, attempt, seconds), (then, following, _) in zip(waits, waits[1:], strict=False):
        if following == attempt + 1:
            assert (then - at).total_seconds() >= seconds - 0.06


def too_many_parts(table: str) -> Pressure:
    """A table merges no more, and refuses what would give it more than a few parts."""

    @contextlib.contextmanager
    def press(platform: Platform) -> Iterator[None]:
        platform.query(f"SYSTEM STOP MERGES {table}")
        platform.query(f"ALTER TABLE {table} MODIFY SETTING parts_to_throw_insert = 3")
        yield
        platform.query(f"ALTER TABLE {table} RESET SETTING parts_to_throw_insert")
        platform.query(f"SYSTEM START MERGES {table}")

    return press


@contextlib.contextmanager
def too_little_space(platform: Platform) -> Iterator[None]:
    """ClickHouse is to keep more of its disk free than there is."""
    platform.query("ALTER TABLE journeys.touchpoints MODIFY SETTING min_free_disk_bytes_to_perform_insert = 1e18")
    yield
    platform.query("ALTER TABLE journeys.touchpoints RESET SETTING min_free_disk_bytes_to_perform_insert")


@contextlib.contextmanager
def no_memory(platform: Platform) -> Iterator[None]:
    """Something else takes all the memory that ClickHouse may have."""
    # What little it needs itself is not counted.
    options = {**platform.clickhouse_options, "settings": {"max_untracked_memory": 1 << 30}}
    with contextlib.closing(ClickHouseWriter(options)) as healer:
        healer.query("CREATE TABLE journeys.ballast (bytes String) ENGINE = Memory")
        # Each thread has some 4 MiB that are not counted at once: less at a time would not be refused.
        for rows in (90, 45):
            with contextlib.suppress(Transient):
                while True:
                    platform.query(f"INSERT INTO journeys.ballast SELECT repeat('x', 100000) FROM numbers({rows})")
        yield
        healer.query("TRUNCATE TABLE journeys.ballast")


@contextlib.contextmanager
def no_bytes(platform: Platform) -> Iterator[None]:
    """A file takes all the disk."""
    assert isinstance(platform, PressedPlatform)
    path = platform.disk / "ballast"
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as ballast:
        while True:
            ballast.write(bytes(MEBIBYTE))
    yield
    path.unlink()


@contextlib.contextmanager
def no_files(platform: Platform) -> Iterator[None]:
    """The disk has bytes left and takes few more files: ClickHouse finds out in the midst of writing its parts."""
    assert isinstance(platform, PressedPlatform)
    path = platform.disk / "ballast"
    path.mkdir()
    with contextlib.suppress(OSError):
        for number in range(FILES):
            (path / str(number)).touch()
    for number in range(FILES_LEFT):
        (path / str(number)).unlink()
    yield
    shutil.rmtree(path)


def slow_inserts(platform: Platform) -> None:
    """Have each insert take some time more, so that it can be met while it runs."""
    platform.query("CREATE DATABASE faults")
    for table in WRITTEN:
        slow = f"SELECT sleep({SLOW_SECONDS}) FROM journeys.{table}"
        platform.query(f"CREATE MATERIALIZED VIEW faults.{table} ENGINE = Null AS {slow}")


def kill_in_insert(platform: Platform, chosen: random.Random, watch: Watch) -> bool:
    """Kill ClickHouse while it inserts, and wait for its next life; tells whether that insert must have been running.

    None of `slow_inserts` ends sooner than `SLOW_SECONDS` after it began.
    """
    database, met = platform.stack.process("clickhouse"), list[tuple[float, float]]()

    def is_inserting() -> bool:
        watch()
        asked = time.monotonic()
        met.extend((asked, elapsed) for (elapsed,) in platform.query(INSERTING) if elapsed < SLOW_SECONDS)
        return bool(met)

    wait_until(is_inserting, "an insert", every=0.02)
    asked, elapsed = met[0]
    time.sleep(chosen.uniform(0, 0.9 * max(0, SLOW_SECONDS - elapsed - (time.monotonic() - asked))))
    database.kill()
    was_inserting = elapsed + time.monotonic() - asked < SLOW_SECONDS
    database.wait_healthy()
    return was_inserting


def remember_blocks(platform: Platform) -> None:
    """Have ClickHouse leave out blocks that it has had, where it may: it notes one before the part has its name."""
    for table in WRITTEN:
        platform.query(f"ALTER TABLE journeys.{table} MODIFY SETTING non_replicated_deduplication_window = 100")


def why_no_strace() -> str | None:
    """Why no running process can be traced here; None where one can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    with subprocess.Popen(["sleep", "60"]) as other:
        try:
            with subprocess.Popen(["strace", "-p", str(other.pid)], stderr=subprocess.PIPE, text=True) as tracing:
                assert tracing.stderr is not None
                said = tracing.stderr.readline().strip()
                other.kill()
        finally:
            other.kill()
    return None if "attached" in said else f"strace may not attach to a process: {said}"


def kill_at_rename(process: Process, number: int, watch: Watch, log: Path) -> str:
    """Kill the server at the n-th time that one of its threads gives a part its name, before it has it; returns which.

    Returns in its next life.
    """
    lives = process.restarts
    command = ["strace", "-f", "-q", "-p", str(process.pid), "-o", str(log), "-e", f"trace={RENAMES}"]
    injected = f"inject={RENAMES}:error=EIO:signal=SIGKILL:when={number}"
    with subprocess.Popen([*command, "-e", injected], stderr=subprocess.DEVNULL) as tracing:
        try:

            def is_over() -> bool:
                watch()
                return tracing.poll() is not None

            wait_until(is_over, "the n-th rename")
        finally:
            tracing.terminate()
    wait_until(lambda: process.restarts > lives, "the server to be started again")
    process.wait_healthy()
    return _last_rename(log.read_text("utf-8"))


def _last_rename(trace: str) -> str:
    """The call that was traced last, which may have begun some lines before that on which it ended."""
    lines = [line.split(maxsplit=1) for line in trace.splitlines() if "rename" in line]
    return [call for thread, call in lines if thread == lines[-1][0] and call.startswith("rename")][-1]
