"""The local stack as a whole: real broker, real ClickHouse, real kills."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from clickhouse_driver import Client
from clickhouse_driver.errors import SocketTimeoutError

from deploy.local.ports import HOST
from deploy.local.stack import LocalStack, read_stack
from schemas.errors import Misconfigured
from tests.deploy.test_supervisor import wait_until

pytestmark = pytest.mark.integration
ROOT = Path(__file__).resolve().parents[2]
HOLD_A_STACK = """
import sys, time
from pathlib import Path
from deploy.local.stack import LocalStack
LocalStack(Path(sys.argv[1])).start()
print("up", flush=True)
time.sleep(1000)
"""


@pytest.fixture
def own(tmp_path: Path) -> Iterator[LocalStack]:
    """A stack of the test's own, to kill and to stop."""
    stack = LocalStack(tmp_path / "data")
    yield stack
    stack.stop()


@contextmanager
def held_stack(directory: Path) -> Iterator[int]:
    """Run a stack in another process, yield that one's id, and kill it if it is still there."""
    command = [sys.executable, "-c", HOLD_A_STACK, str(directory)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None and holder.stdout.readline() == "up\n"
            yield holder.pid
        finally:
            holder.kill()


def query(url: str, statement: str, rows: list[tuple[int, ...]] | None = None) -> Any:
    with Client.from_url(url) as client:
        return client.execute(statement, rows)


def make_table(url: str) -> None:
    query(url, "CREATE DATABASE kept")
    query(url, "CREATE TABLE kept.numbers (n UInt64) ENGINE = MergeTree ORDER BY n")


def described(stack: LocalStack) -> Any:
    return json.loads((stack.directory / "stack.json").read_text())


def pids(stack: LocalStack) -> list[int]:
    return [status.pid for status in stack.status() if status.pid is not None]


def test_stack_file_tells_others_where_it_answers_and_keeps_no_secret(own: LocalStack) -> None:
    assert read_stack(own.directory) is None
    own.start()
    assert read_stack(own.directory) == own.addresses
    text = (own.directory / "stack.json").read_text()
    passwords = json.loads((own.directory / "secrets.json").read_text())
    assert set(passwords) == {"journeys", "analyst"}
    assert not any(password in text for password in passwords.values())
    assert not any(password in repr(own.addresses) for password in passwords.values())
    for name in ("secrets.json", "stack.json", "clickhouse/users.xml"):
        assert stat.S_IMODE((own.directory / name).stat().st_mode) == 0o600
    own.stop()
    assert read_stack(own.directory) is None


def test_a_clock_that_was_set_hides_no_stack_and_another_process_is_none(tmp_path: Path) -> None:
    me = psutil.Process()
    (tmp_path / "secrets.json").write_text(json.dumps({"journeys": "a", "analyst": "b"}))
    for differs_by, is_there in ((0.0, True), (-1.5, True), (3600.0, False)):
        note = {"pid": me.pid, "pid_created_at": me.create_time() + differs_by, "ports": {}}
        (tmp_path / "stack.json").write_text(json.dumps(note))
        assert (read_stack(tmp_path) is not None) == is_there


def test_stop_leaves_no_process_and_a_second_start_keeps_data_and_passwords(own: LocalStack) -> None:
    own.start()
    url, before = own.clickhouse_url, pids(own)
    make_table(url)
    query(url, "INSERT INTO kept.numbers VALUES", [(7,)])
    own.stop()
    own.stop()
    assert len(before) == 2 and not any(psutil.pid_exists(pid) for pid in before)
    own.start()
    assert url.split("@")[0] == own.clickhouse_url.split("@")[0]
    assert query(own.clickhouse_url, "SELECT n FROM kept.numbers") == [(7,)]


def test_killed_clickhouse_comes_back_on_its_port_with_every_confirmed_row(own: LocalStack) -> None:
    own.start()
    make_table(own.clickhouse_url)
    for start in range(0, 1_000, 100):
        query(own.clickhouse_url, "INSERT INTO kept.numbers VALUES", [(n,) for n in range(start, start + 100)])
    pid = own.process("clickhouse").pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: own.process("clickhouse").restarts == 1)
    own.process("clickhouse").wait_healthy()
    assert query(own.clickhouse_url, "SELECT count(), sum(n) FROM kept.numbers") == [(1_000, 499_500)]
    assert read_stack(own.directory) == own.addresses
    wait_until(lambda: described(own)["processes"]["clickhouse"] == own.process("clickhouse").pid)


def test_suspended_clickhouse_answers_nothing_until_it_is_resumed(own: LocalStack) -> None:
    own.start()
    own.process("clickhouse").suspend()
    impatient = own.clickhouse_url + "?connect_timeout=0.3&send_receive_timeout=0.3"
    with pytest.raises((SocketTimeoutError, TimeoutError)):
        query(impatient, "SELECT 1")
    own.process("clickhouse").resume()
    assert query(own.clickhouse_url, "SELECT 1") == [(1,)]
    assert own.process("clickhouse").restarts == 0


def test_two_stacks_cannot_use_one_directory(own: LocalStack) -> None:
    own.start()
    with pytest.raises(Misconfigured, match=f"in use by the local stack of process {os.getpid()}"):
        LocalStack(own.directory).start()
    assert own.status()[0].restarts == 0 and read_stack(own.directory) == own.addresses


def test_nothing_outlives_a_killed_supervisor_and_its_lock_is_stale(own: LocalStack) -> None:
    with held_stack(own.directory) as holder_pid:
        children = list(described(own)["processes"].values())
        assert len(children) == 2 and all(psutil.pid_exists(pid) for pid in children)
        with pytest.raises(Misconfigured, match=f"process {holder_pid}:"):
            own.start()
        addresses = read_stack(own.directory)
        assert addresses is not None and addresses.pid == holder_pid
    wait_until(lambda: not any(psutil.pid_exists(pid) for pid in children))
    assert (own.directory / "stack.json").exists() and read_stack(own.directory) is None
    own.start()
    assert read_stack(own.directory) == own.addresses


def test_ctrl_c_reaches_the_supervisor_alone(own: LocalStack) -> None:
    own.start()
    assert all(os.getpgid(pid) == pid != os.getpgid(0) for pid in pids(own))


@pytest.mark.parametrize("setting", ["kafka_port", "clickhouse_port", "clickhouse_http_port"])
def test_a_taken_port_is_one_line_that_names_it(tmp_path: Path, setting: str) -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        stack = LocalStack(tmp_path, **{setting: port})
        with pytest.raises(Misconfigured, match=f"^port {port} of 127.0.0.1 \\({setting}\\)[^\\n]*$"):
            stack.start()
    assert stack.status() == [] and read_stack(tmp_path) is None
    stack.start()
    assert str(port) in "".join(map(str, (stack.kafka, stack.clickhouse_url, stack.clickhouse_http_url)))
    stack.stop()


def test_a_directory_that_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Misconfigured, match="cannot use .*file.*: Not a directory"):
        LocalStack(tmp_path / "file" / "data").start()


def test_damaged_secrets_are_one_line_and_start_nothing(tmp_path: Path) -> None:
    (tmp_path / "secrets.json").write_text("{")
    stack = LocalStack(tmp_path)
    with pytest.raises(Misconfigured, match=r"secrets\.json is no JSON"):
        stack.start()
    assert stack.status() == []


def test_one_part_alone(tmp_path: Path) -> None:
    with LocalStack(tmp_path, run_clickhouse=False) as stack:
        assert [status.name for status in stack.status()] == ["kafka"]
        with pytest.raises(Misconfigured, match="no process named 'clickhouse'"):
            _ = stack.clickhouse_url
        addresses = read_stack(tmp_path)
        assert addresses is not None and addresses.kafka == stack.kafka and addresses.clickhouse_url is None
