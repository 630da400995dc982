"""Commands against a platform that `journeys up` runs, as a newcomer would use them one after the other."""

import csv
import io
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.console.running import COMMAND, environment, journeys, one_line, unread, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(360)]


class Up:
    """A running `journeys up` and the commands that are asked of it."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.directory = directory
        self.log = directory / "up.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*COMMAND, "up", *options], cwd=directory, stdout=log, stderr=log, env=environment()
            )

    def ask(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return journeys(*arguments, cwd=self.directory, stdin=stdin)

    def rows(self, statement: str, *options: str) -> Any:
        done = self.ask("sql", statement, "--format", "json", *options)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    running = Up(tmp_path_factory.mktemp("up"))
    try:
        wait_until(lambda: "Ctrl-C" in running.log.read_text() or running.process.poll() is not None)
        assert running.process.poll() is None, running.log.read_text()
        yield running
    finally:
        running.process.terminate()
        running.process.wait(30)


def line(number: int, **changed: Any) -> str:
    occurred_at = datetime.now(UTC) - timedelta(minutes=number)
    touchpoint = {
        "event_id": f"e-{number}", "source": "web", "type": "searched", "occurred_at": occurred_at.isoformat(),
        "identifiers": {"customer_id": "=C-1"}, "properties": {"query": "sofa", "results": number},
    }  # fmt: skip
    return json.dumps({**touchpoint, **changed}) + "\n"


def test_up_says_when_the_worker_takes_touchpoints_and_status_agrees(up: Up) -> None:
    said = up.log.read_text().splitlines()
    joining, ready = "· started 1 worker: it is joining its group", "· ready: touchpoints are taken"
    ends = next(place for place, line in enumerate(said) if "Ctrl-C" in line)
    assert said.index(joining) < said.index(ready) < ends
    [worker] = json.loads(up.ask("status", "--json").stdout)["workers"]
    assert (worker["has_joined"], worker["partitions"], worker["processes"], worker["faults"]) == (True, 4, 1, [])
    assert f"worker {worker['pid']}" in up.ask("status").stdout and "  4 partitions\n" in up.ask("status").stdout


def test_emit_refuses_line_by_line_and_the_rest_can_be_queried(up: Up) -> None:
    lines = [line(1), "{broken\n", "\n", line(2), line(3, identifiers={}), line(4)]
    done = up.ask("emit", "--json", stdin="".join(lines))
    assert done.returncode == 1
    assert json.loads(done.stdout) == {
        "delivered": 3, "refused": 2, "undelivered": 0, "reasons": {"invalid_json": 1, "no_identifier": 1},
    }  # fmt: skip
    refusals = done.stderr.splitlines()
    assert [refusal.split(": ")[:2] for refusal in refusals] == [
        ["line 2", "invalid_json"],
        ["line 5", "no_identifier"],
    ]
    counted = "SELECT count() AS count FROM analytics.touchpoints"
    wait_until(lambda: up.rows(counted) == [{"count": 3}])
    good = up.directory / "good.ndjson"
    good.write_text(line(4), "utf-8")
    again = up.ask("emit", str(good))
    assert (again.returncode, again.stdout) == (0, "1 delivered, 0 refused, 0 not delivered\n")
    assert up.rows(counted) == [{"count": 3}]


def test_what_is_too_old_is_refused_with_advice_and_taken_as_history(up: Up) -> None:
    old = line(7, event_id="old", occurred_at="2019-01-01T10:00:00Z")
    future = line(8, event_id="future", occurred_at="2199-01-01T10:00:00Z")
    refused = up.ask("emit", stdin=old + future)
    assert refused.returncode == 1 and refused.stdout == "0 delivered, 2 refused, 0 not delivered\n"
    first, second, advice = refused.stderr.splitlines()
    assert first.startswith("line 1: too_old: ") and "more than 365 days ago" in first
    assert second.startswith("line 2: too_far_ahead: ") and "--history" in advice
    taken = up.ask("emit", "--history", stdin=old + future)
    assert taken.returncode == 1 and taken.stdout == "1 delivered, 1 refused, 0 not delivered\n"
    assert one_line(taken.stderr).startswith("line 2: too_far_ahead: ")
    wait_until(lambda: len(up.rows("SELECT 1 AS a FROM analytics.touchpoints WHERE event_id = 'old'")) == 1)


def test_replay_resumes_and_says_so(up: Up) -> None:
    file = up.directory / "history.csv"
    file.write_text("who,what,at\nC-7,visited,2020-01-01 10:00:00\nC-7,left,2020-01-01 10:05:00\n", "utf-8")
    mapping = up.directory / "mapping.yaml"
    mapping.write_text(
        "zone: UTC\nfields:\n  event_id: {template: 'h-{_line}'}\n  source: {constant: store}\n  type: what\n"
        "  occurred_at: at\n  identifiers.customer_id: who\n",
        "utf-8",
    )
    done = up.ask("replay", str(file), "--mapping", str(mapping), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["delivered"] == 2 and done.stderr == ""
    again = up.ask("replay", str(file), "--mapping", str(mapping))
    assert again.returncode == 0 and "0 delivered" in again.stdout and "went on after line 3" in again.stdout
    wait_until(lambda: len(up.rows("SELECT 1 AS a FROM analytics.touchpoints WHERE customer_id = 'C-7'")) == 2)


def test_sql_in_every_format(up: Up) -> None:
    statement = "SELECT '=1+1' AS text, -5 AS number, toDateTime64('2026-11-21 10:00:00.5', 3, 'UTC') AS at"
    assert up.rows(statement) == [{"text": "=1+1", "number": -5, "at": "2026-11-21T10:00:00.500Z"}]
    as_csv = up.ask("sql", statement, "--format", "csv").stdout
    assert list(csv.reader(io.StringIO(as_csv)))[1] == ["'=1+1", "-5", "2026-11-21T10:00:00.500Z"]
    table = up.ask("sql", "-", stdin="SELECT number FROM numbers(700);")
    assert table.returncode == 0 and "\x1b" not in table.stdout
    assert table.stdout.splitlines()[-1] == "700 rows, of which the first 500 are shown: --limit 0 shows all"
    cut = up.ask("sql", "SELECT number FROM numbers(9)", "--format", "ndjson", "--limit", "2")
    assert cut.stdout.splitlines() == ['{"number": 0}', '{"number": 1}'] and "7 more rows" in one_line(cut.stderr)


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("SELEC 1", "Syntax error"),
        ("SELECT count() FROM journeys.touchpoints", "the analyst reads analytics.* only"),
        ("SELECT count() FROM journey", "did you mean analytics.journeys?"),
        ("SELECT nothing FROM analytics.journeys", "nothing"),
        ("DROP TABLE journeys.touchpoints", "may not do that"),
    ],
)
def test_sql_errors_are_one_line(up: Up, statement: str, told: str) -> None:
    done = up.ask("sql", statement, "--format", "csv")
    assert done.returncode == 1 and done.stdout == ""
    assert told in one_line(done.stderr) and "Expected one of" not in done.stderr


def test_truth_values_are_true_and_false_however_they_are_stored(up: Up) -> None:
    sparse = "ENGINE = MergeTree ORDER BY tuple() SETTINGS ratio_of_defaults_for_sparse_serialization = 0.1"
    assert up.ask("sql", f"CREATE TABLE journeys.truths (a Bool) {sparse}", "--as", "admin").returncode == 0
    up.ask("sql", "INSERT INTO journeys.truths SELECT number = 1 FROM numbers(500)", "--as", "admin")
    rows = up.rows("SELECT a FROM journeys.truths LIMIT 3", "--as", "admin")
    assert [row["a"] for row in rows] == [False, True, False] and rows[0]["a"] is False
    assert up.ask("sql", "DROP TABLE journeys.truths", "--as", "admin").returncode == 0


@pytest.mark.parametrize("form", ["table", "csv", "json", "ndjson"])
def test_rows_that_nobody_reads_end_the_command_with_141(up: Up, form: str) -> None:
    with unread() as output:
        done = subprocess.run(
            [*COMMAND, "sql", "SELECT number FROM numbers(20000)", "--format", form, "--limit", "0"],
            cwd=up.directory, env=environment(), stdout=output, stderr=subprocess.PIPE, timeout=100,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (141, b"")


def test_admin_may_do_what_the_analyst_may_not(up: Up) -> None:
    assert up.ask("sql", "CREATE TABLE journeys.scratch (a Int8) ENGINE = Memory", "--as", "admin").stdout == "done\n"
    assert up.rows("SELECT count() AS count FROM journeys.scratch", "--as", "admin") == [{"count": 0}]
    assert up.ask("sql", "DROP TABLE journeys.scratch", "--as", "admin").returncode == 0


def test_status_and_doctor_agree_that_all_is_well(up: Up) -> None:
    done = up.ask("status", "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["up"], found["down"]) == (0, True, [])
    assert {topic["name"]: topic["partitions"] for topic in found["topics"]}["touchpoints"] == 4
    assert len(found["workers"]) == 1 and found["stored"]["rows"].keys() >= {"touchpoints", "alerts"}
    assert up.ask("status").returncode == 0
    checked = up.ask("doctor", "--json")
    verdicts = {check["name"]: check["verdict"] for check in json.loads(checked.stdout)["checks"]}
    assert checked.returncode == 0, checked.stdout
    assert {name for name, verdict in verdicts.items() if verdict == "warn"} <= {"identifier key", "disk"}
    secrets = json.loads((up.directory / ".journeys" / "secrets.json").read_text("utf-8"))
    assert not any(secret in checked.stdout + done.stdout + up.log.read_text() for secret in secrets.values())


def test_migrate_has_nothing_left_to_do(up: Up) -> None:
    assert up.ask("migrate", "--plan").stdout == "-- nothing is pending\n"
    assert up.ask("migrate", "--status").returncode == 0
    assert "up to date (4 partitions)" in up.ask("migrate").stdout


def test_a_second_up_in_the_same_place_is_refused(up: Up) -> None:
    done = up.ask("up")
    assert done.returncode == 1 and "is in use by the local stack of process" in one_line(done.stderr)


def test_a_worker_that_dies_is_started_again(up: Up) -> None:
    worker = json.loads(up.ask("status", "--json").stdout)["workers"][0]["pid"]
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: "worker-1 died and is started again" in up.log.read_text())
    wait_until(lambda: up.log.read_text().count("ready: touchpoints are taken") == 2)
    assert up.ask("status").returncode == 0
    assert up.ask("emit", stdin=line(5)).returncode == 0
    wait_until(lambda: len(up.rows("SELECT 1 AS a FROM analytics.touchpoints WHERE event_id = 'e-5'")) == 1)


def test_a_broker_that_dies_comes_back_with_topics_and_the_worker_reads_on(up: Up) -> None:
    stack = json.loads((up.directory / ".journeys" / "stack.json").read_text("utf-8"))
    os.kill(stack["processes"]["kafka"], signal.SIGKILL)
    wait_until(lambda: "kafka lost its memory in the restart" in up.log.read_text())
    wait_until(lambda: up.ask("emit", stdin=line(6)).returncode == 0)
    wait_until(lambda: len(up.rows("SELECT 1 AS a FROM analytics.touchpoints WHERE event_id = 'e-6'")) == 1)


def test_sigterm_stops_everything(up: Up) -> None:
    children = up.children()
    assert len(children) == 3
    up.process.send_signal(signal.SIGTERM)
    assert up.process.wait(30) == 0
    assert not psutil.wait_procs(children, 5)[1]
    assert up.log.read_text().endswith("stopped\n") and "Traceback" not in up.log.read_text()
    assert "warning" not in up.log.read_text()
    assert "start the local stack" in one_line(up.ask("status").stderr)


def test_what_no_worker_has_stored_is_told_when_the_memory_only_broker_stops(tmp_path: Path) -> None:
    alone = Up(tmp_path, "--workers", "0")
    try:
        wait_until(lambda: "Ctrl-C" in alone.log.read_text())
        assert alone.ask("emit", stdin=line(1) + line(2)).returncode == 0
    finally:
        alone.process.terminate()
        assert alone.process.wait(30) == 0
    *_, warning, stopped = alone.log.read_text().splitlines()
    assert warning.startswith("warning: 2 records that no worker had stored: ") and "--kafka apache" in warning
    assert stopped == "stopped"
