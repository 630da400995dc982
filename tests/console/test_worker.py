"""`journeys worker`: how its options travel, and what it refuses."""

import sys
from pathlib import Path

import pytest

from console.commands.worker import describe_work, member_command
from console.invocation import Invocation
from deploy.services import Services
from schemas.settings import Settings
from tests.console.running import journeys, one_line

SERVERS = {"KAFKA": "127.0.0.1:1", "CLICKHOUSE": "clickhouse://u@127.0.0.1:1/"}


@pytest.mark.parametrize(
    ("invocation", "options"),
    [
        (Invocation(), []),
        (Invocation(Path("here"), debug=True), ["--data-dir", "here", "--debug"]),
    ],
)
def test_a_process_of_a_worker_is_called_with_the_same_global_options(
    invocation: Invocation, options: list[str]
) -> None:
    called = [sys.executable, "-m", "console.cli", *options, "worker", "--processes", "1"]
    assert list(member_command(invocation)) == called


@pytest.mark.parametrize("wrong", ["-1", "65", "two"])
def test_a_bad_number_of_processes_is_one_line(wrong: str, tmp_path: Path) -> None:
    asked = journeys("worker", "--processes", wrong, cwd=tmp_path)
    assert asked.returncode == 2 and "--processes" in one_line(asked.stderr)
    told = journeys("worker", cwd=tmp_path, changed={"JOURNEYS_WORKER_PROCESSES": wrong})
    assert told.returncode == 1 and one_line(told.stderr).startswith(f"journeys: JOURNEYS_WORKER_PROCESSES={wrong}: ")


@pytest.mark.parametrize("processes", ["1", "2"])
def test_what_is_wrong_with_the_settings_is_said_once(processes: str, tmp_path: Path) -> None:
    servers = {**SERVERS, "CLICKHOUSE": "clickhouse://u@127.0.0.1:none/"}
    done = journeys("worker", "--processes", processes, cwd=tmp_path, changed=servers)
    assert done.returncode == 1 and "ClickHouse address" in one_line(done.stderr)


def test_several_processes_that_cannot_work_end_the_parent_with_70_and_its_reason(tmp_path: Path) -> None:
    settings = {"JOURNEYS_WORKER_PROCESSES": "2", "JOURNEYS_METRICS_PORT": "0", **SERVERS}
    done = journeys("worker", cwd=tmp_path, changed=settings)
    assert done.returncode == 70, done.stderr
    first, *_, last = done.stderr.splitlines()
    assert first.startswith("worker of group journeys in 2 processes: reads Kafka at 127.0.0.1:1, writes to ClickHouse")
    assert done.stderr.count("reads Kafka at") == 1 and "Traceback" not in done.stderr
    assert "The worker cannot go on: worker process" in last and "cannot reach Kafka" in last
    assert any(line.startswith("[1] ") for line in done.stderr.splitlines())
    assert not list((tmp_path / ".journeys").glob("workers/*")), "a note was left behind"


def test_a_data_directory_that_cannot_be_made_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    settings = {"JOURNEYS_DATA_DIR": "taken/data", "JOURNEYS_METRICS_PORT": "0", **SERVERS}
    done = journeys("worker", "--processes", "2", cwd=tmp_path, changed=settings)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "journeys: cannot use taken/data as the data directory: Not a directory"


def test_a_worker_says_what_it_is_about_to_do_and_no_secret() -> None:
    services = Services("k-1:9092,k-2:9092", "clickhouse://u:hunter2@db:9000/?secure=1", "", False, False)
    line = describe_work(services, Settings(consumer_group="shop"), 1)
    assert line == (
        "worker of group shop: reads Kafka at k-1:9092,k-2:9092, writes to ClickHouse at clickhouse://db:9000/; "
        "Ctrl-C stops it"
    )
    assert "in 3 processes: reads" in describe_work(services, Settings(), 3)
