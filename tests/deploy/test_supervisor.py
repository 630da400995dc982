"""Keeping child processes: real ones, small ones."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from deploy.local.supervisor import Process, ProcessSpec, RestartPolicy, State, Supervisor
from schemas.errors import Misconfigured

QUICK = RestartPolicy(
    start_timeout_seconds=10, stop_timeout_seconds=0.5, first_delay_seconds=0.01, max_rapid_failures=3
)
SERVE_FOREVER = "import pathlib, time; pathlib.Path('ready').touch(); time.sleep(1000)"


def wait_until(condition: Callable[[], bool], timeout_seconds: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def python_spec(directory: Path, code: str, name: str = "child") -> ProcessSpec:
    ready = directory / "ready"
    return ProcessSpec(name, (sys.executable, "-I", "-S", "-c", code), directory, ready.exists)


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Process]:
    process = Process(python_spec(tmp_path, SERVE_FOREVER), tmp_path / "child.log", QUICK)
    yield process
    process.stop()


def test_a_process_that_dies_is_started_again(child: Process) -> None:
    child.start()
    child.wait_healthy()
    first = child.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: child.restarts == 1 and child.status.state is State.HEALTHY)
    assert child.pid != first


def test_a_kill_on_purpose_never_counts_as_a_rapid_failure(child: Process) -> None:
    child.start()
    for life in range(QUICK.max_rapid_failures + 2):
        child.wait_healthy()
        assert child.restarts == life
        child.kill()
    child.wait_healthy()


def test_a_process_that_keeps_dying_is_given_up_with_its_last_words(tmp_path: Path) -> None:
    code = "import pathlib, sys, time; pathlib.Path('ready').touch(); time.sleep(0.1); sys.exit('no room left')"
    process = Process(python_spec(tmp_path, code), tmp_path / "child.log", QUICK)
    process.start()
    wait_until(lambda: process.status.state is State.FAILED)
    failure = process.status.failure
    assert failure is not None and "\n" not in failure
    assert "child exited with 1, 3 times in a row" in failure and "no room left" in failure
    assert process.restarts == 2 and process.pid is None


def test_a_process_that_never_works_fails_at_once_and_quotes_only_this_run(tmp_path: Path) -> None:
    (tmp_path / "child.log").write_text("words of yesterday\n")
    process = Process(python_spec(tmp_path, "import sys; sys.exit('bad option')"), tmp_path / "child.log", QUICK)
    process.start()
    with pytest.raises(Misconfigured, match="exited with 1 before it was healthy.*bad option") as caught:
        process.wait_healthy()
    assert "yesterday" not in str(caught.value)


def test_a_process_that_never_becomes_healthy_is_killed(tmp_path: Path) -> None:
    policy = RestartPolicy(start_timeout_seconds=0.3)
    process = Process(python_spec(tmp_path, "import time; time.sleep(1000)"), tmp_path / "child.log", policy)
    process.start()
    wait_until(lambda: process.pid is not None)
    with pytest.raises(Misconfigured, match="before it was healthy"):
        process.wait_healthy()
    assert process.pid is None


def test_stop_ends_a_process_that_ignores_sigterm_and_one_that_is_suspended(tmp_path: Path) -> None:
    stubborn = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SERVE_FOREVER}"
    for code, suspend in ((stubborn, False), (SERVE_FOREVER, True)):
        (tmp_path / "ready").unlink(missing_ok=True)
        process = Process(python_spec(tmp_path, code), tmp_path / "child.log", QUICK)
        process.start()
        process.wait_healthy()
        pid = process.pid
        assert pid is not None
        if suspend:
            process.suspend()
            wait_until(lambda pid=pid: psutil.Process(pid).status() == psutil.STATUS_STOPPED)  # type: ignore[misc]
        process.stop()
        assert not psutil.pid_exists(pid)
        assert process.status.state is State.STOPPED


def test_a_stopped_process_stays_down_until_it_is_started(child: Process) -> None:
    child.start()
    child.wait_healthy()
    child.stop()
    assert child.pid is None
    with pytest.raises(Misconfigured, match="stopped"):
        child.wait_healthy(0.1)
    child.start()
    child.wait_healthy()


def test_stop_at_any_moment_of_a_start_leaves_no_process(tmp_path: Path) -> None:
    for delay_seconds in (0.0, 0.001, 0.005, 0.02, 0.05):
        process = Process(python_spec(tmp_path, SERVE_FOREVER), tmp_path / "child.log", QUICK)
        process.start()
        time.sleep(delay_seconds)
        pid = process.pid
        process.stop()
        assert process.pid is None and (pid is None or not psutil.pid_exists(pid))


def test_a_process_has_a_session_of_its_own(child: Process) -> None:
    child.start()
    child.wait_healthy()
    assert child.pid is not None
    assert os.getsid(child.pid) == child.pid != os.getsid(0)


def test_when_one_of_several_fails_all_are_stopped(tmp_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.mkdir()
    bad.mkdir()
    supervisor = Supervisor(tmp_path / "log", QUICK)
    with pytest.raises(Misconfigured, match="second exited with 3"):
        supervisor.start([python_spec(good, SERVE_FOREVER, "first"), python_spec(bad, "raise SystemExit(3)", "second")])
    assert [status.pid for status in supervisor.status()] == [None, None]
    assert supervisor.failure is not None and "second" in supervisor.failure


def test_a_command_that_does_not_exist_is_one_clear_line(tmp_path: Path) -> None:
    spec = ProcessSpec("ghost", (str(tmp_path / "no-such-program"),), tmp_path, lambda: False)
    process = Process(spec, tmp_path / "ghost.log", QUICK)
    process.start()
    with pytest.raises(Misconfigured, match="ghost exited with 1.*no-such-program|ghost exited with 1.*No such file"):
        process.wait_healthy()


def test_delays_double_up_to_their_bound_and_health_clears_the_count() -> None:
    policy = RestartPolicy(first_delay_seconds=1, max_delay_seconds=5, rapid_seconds=10)
    assert [policy.delay_seconds(failures) for failures in range(6)] == [1, 1, 2, 4, 5, 5]
    assert policy.count_rapid(3, healthy_seconds=9.9) == 4
    assert policy.count_rapid(3, healthy_seconds=10.0) == 1
