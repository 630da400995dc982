"""Members of a group: small real processes."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from deploy.local.supervisor import RestartPolicy, State
from deploy.worker_group import Member, count_processes, exit_status, member_environment

QUICK = RestartPolicy(
    start_timeout_seconds=10, stop_timeout_seconds=2.0, first_delay_seconds=0.01, max_rapid_failures=3
)
HEALTHY = """import os, pathlib, signal, sys, time
def announce():
    pathlib.Path(os.environ["JOURNEYS_WORKER_NOTES_DIR"], f"{os.getpid()}.json").touch()
"""


class Group:
    """Members of one test, and the lines that they passed on."""

    def __init__(self, notes: Path) -> None:
        self.notes = notes
        self.lines: list[bytes] = []

    def member(self, code: str, number: int = 0) -> Member:
        command = (sys.executable, "-I", "-S", "-c", HEALTHY + code)
        return Member(number, command, member_environment(os.environ, self.notes), self.notes, self.lines.append, QUICK)


@pytest.fixture
def group(tmp_path: Path) -> Group:
    return Group(tmp_path)


def wait_until(condition: Callable[[], bool], timeout_seconds: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("wanted", "usable_cores", "count"), [(1, 8, 1), (3, 2, 3), (0, 1, 1), (0, 6, 6), (0, 200, 64), (64, 2, 64)]
)
def test_zero_is_one_process_for_each_usable_core(wanted: int, usable_cores: int, count: int) -> None:
    assert count_processes(wanted, usable_cores) == count


def test_a_member_is_told_all_but_where_its_page_and_its_note_are(tmp_path: Path) -> None:
    given = {"PATH": "/bin", "JOURNEYS_PARTITIONS": "8", "journeys_metrics_port": "9", "JOURNEYS_METRICS_HOST": "h"}
    assert member_environment(given, tmp_path) == {
        "PATH": "/bin",
        "JOURNEYS_PARTITIONS": "8",
        "JOURNEYS_METRICS_HOST": "127.0.0.1",
        "JOURNEYS_METRICS_PORT": "0",
        "JOURNEYS_WORKER_NOTES_DIR": str(tmp_path),
    }


@pytest.mark.parametrize(
    ("codes", "status"), [([0, 0], 0), ([0, 70, 1], 70), ([-signal.SIGTERM, 0], 0), ([0, -signal.SIGKILL], 137)]
)
def test_the_status_is_the_first_that_is_no_clean_end(codes: list[int], status: int) -> None:
    assert exit_status(codes) == status


def test_a_member_ends_as_it_says_and_its_words_are_passed_on_to_the_last(group: Group) -> None:
    code = """
def leave(*_):
    print("last", "words", file=sys.stderr)
    os.write(1, b"without an end")
    os._exit(3)
signal.signal(signal.SIGTERM, leave)
announce()
print("ready", flush=True)
time.sleep(100)
"""
    member = group.member(code, 7)
    member.start()
    member.wait_healthy()
    wait_until(lambda: group.lines == [b"[7] ready\n"])
    assert member.end() == 3
    assert group.lines == [b"[7] ready\n", b"[7] last words\n", b"[7] without an end\n"]


def test_a_member_that_died_by_itself_is_started_again_and_counts_for_no_failed_end(group: Group) -> None:
    member = group.member("announce(); time.sleep(100)")
    assert member.end() == 0
    member.start()
    member.wait_healthy()
    first = member.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: member.restarts == 1 and member.status.state is State.HEALTHY)
    assert member.pid not in (None, first)
    assert exit_status([member.end()]) == 0 and member.pid is None


def test_a_member_that_dies_again_and_again_is_given_up_in_one_line_with_its_last_words(group: Group) -> None:
    member = group.member("announce(); time.sleep(0.1); sys.exit('no room left')")
    member.start()
    wait_until(lambda: member.status.state is State.FAILED)
    failure = member.status.failure
    assert failure is not None and "\n" not in failure
    assert "worker process 0 exited with 1, 3 times in a row" in failure and "no room left" in failure
    assert "(log: " not in failure, "its lines have been passed on"
    assert group.lines == [b"[0] no room left\n"] * 3
    assert member.end() == 0


def test_output_that_nobody_takes_does_not_hold_a_member_up(tmp_path: Path) -> None:
    def refuse(_: bytes) -> None:
        raise BrokenPipeError

    command = (
        sys.executable,
        "-I",
        "-S",
        "-c",
        HEALTHY + "print('x' * 300_000); print('y'); announce(); time.sleep(100)",
    )
    member = Member(0, command, member_environment(os.environ, tmp_path), tmp_path, refuse, QUICK)
    member.start()
    member.wait_healthy(10)
    pid = member.pid
    assert pid is not None
    member.end()
    assert not psutil.pid_exists(pid)
