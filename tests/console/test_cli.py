"""What every command has in common: help, exit codes, one clear line of error."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from console.cli import hoist_global_options
from tests.console.running import COMMAND, environment, journeys, one_line, run_here, unread

COMMANDS = ("up", "demo", "status", "worker", "migrate", "emit", "replay", "sql", "doctor", "forget")
NEED_SERVERS = (("status",), ("worker",), ("migrate",), ("emit",), ("sql", "SELECT 1"))


def test_version(tmp_path: Path) -> None:
    done = journeys("--version", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.startswith("journeys 0.")


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process in an empty directory, with nothing set."""
    monkeypatch.chdir(tmp_path)
    for name in os.environ.keys() - environment().keys():
        monkeypatch.delenv(name)


@pytest.mark.usefixtures("nowhere")
@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command: str) -> None:
    done = run_here(command, "--help")
    assert done.returncode == 0 and done.stderr == ""
    assert "Examples:" in done.stdout and f"journeys {command}" in done.stdout.split("Examples:")[1]


@pytest.mark.parametrize("arguments", NEED_SERVERS, ids=lambda each: each[0])
def test_without_servers_a_command_says_how_to_start_them(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = journeys(*arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert "start the local stack with `journeys up`" in one_line(done.stderr)


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("sell",), 2, "No such command 'sell'"),
        (("status", "--jason"), 2, "No such option: --jason"),
        (("sql",), 1, "give one statement"),
        (("sql", " ; "), 1, "the statement is empty"),
        (("sql", "--file", "absent.sql"), 1, "journeys: no such file: absent.sql"),
        (("sql", "--file", "."), 1, ".: cannot be read: Is a directory"),
        (("sql", "SELECT 1", "--format", "xml"), 2, "'xml' is not one of"),
        (("replay", "absent.csv"), 1, "no such file: absent.csv"),
        (("replay", "absent.csv", "--mapping", "absent.yaml"), 1, "journeys: no such file: absent.yaml"),
        (("up", "--kafka-port", "70000"), 2, "--kafka-port"),
        (("up", "--kafka", "other"), 2, "'other' is not one of"),
        (("up", "--brokers", "3"), 1, "several need --kafka apache"),
        (("demo", "--kafka", "apache", "--brokers", "2"), 1, "one broker or three"),
        (("forget",), 2, "Missing argument"),
        (("forget", "dana@example.com"), 1, "write email:dana@example.com"),
        (("forget", "email:dana@example.com"), 1, "JOURNEYS_IDENTIFIER_KEY"),
        (("forget", "C-1", "--wait", "soon"), 1, "--wait: 'soon' is no duration"),
        (("forget", "C-1", "--receipt", "absent/receipt.json"), 1, "there is no such directory"),
        (("forget", "C-1", "--receipt", "."), 1, "a receipt is written to a new file"),
        (("migrate", "--plan", "--status"), 1, "give one of --plan and --status"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, tuple) else None,
)
@pytest.mark.usefixtures("nowhere")
def test_misuse_is_one_line(arguments: tuple[str, ...], code: int, told: str) -> None:
    done = run_here(*arguments)
    assert done.returncode == code
    assert told in one_line(done.stderr) and done.stdout == ""


def test_a_setting_that_is_no_json_is_one_line_without_its_value(tmp_path: Path) -> None:
    keys = {"JOURNEYS_IDENTIFIER_PREVIOUS_KEYS": '{"k0": "hunter2"'}
    line = one_line(journeys("status", cwd=tmp_path, changed=keys).stderr)
    assert "identifier_previous_keys" in line and "write it as JSON" in line and "hunter2" not in line


@pytest.mark.parametrize("command", ["up", "demo"])
def test_apache_kafka_without_java_is_one_line_that_says_what_to_do(command: str, tmp_path: Path) -> None:
    done = journeys(command, "--kafka", "apache", cwd=tmp_path, changed={"PATH": str(tmp_path), "JAVA_HOME": ""})
    assert done.returncode == 1 and "then run `make kafka`" in one_line(done.stderr)
    named = journeys(command, "--kafka", "apache", cwd=tmp_path, changed={"JOURNEYS_KAFKA": "k:1"})
    assert named.returncode == 1 and "choose one of both" in one_line(named.stderr)


def test_a_bad_setting_is_one_line_and_debug_shows_where(tmp_path: Path) -> None:
    done = journeys("status", cwd=tmp_path, changed={"JOURNEYS_PARTITIONS": "none"})
    assert done.returncode == 1
    assert one_line(done.stderr).startswith("journeys: JOURNEYS_PARTITIONS=none: ")
    debugged = journeys("status", "--debug", cwd=tmp_path, changed={"JOURNEYS_PARTITIONS": "none"})
    assert debugged.returncode == 1 and "Traceback" in debugged.stderr


def test_a_broken_settings_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "journeys.toml").write_text("partitions =", "utf-8")
    done = journeys("status", cwd=tmp_path)
    assert done.returncode == 1 and "journeys.toml" in one_line(done.stderr)


@pytest.mark.parametrize(
    "arguments",
    [("sql", "SELECT 1"), ("report",), ("rules", "backtest"), ("dead-letters", "list")],
    ids=lambda each: " ".join(each),
)
def test_who_asks_clickhouse_alone_needs_no_kafka(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = journeys(*arguments, cwd=tmp_path, changed={"CLICKHOUSE": "clickhouse://u:p@127.0.0.1:1/"})
    assert done.returncode == 1 and "127.0.0.1:1" in one_line(done.stderr)


def test_a_kafka_that_does_not_answer_is_one_line(tmp_path: Path) -> None:
    servers = {"KAFKA": "127.0.0.1:1", "CLICKHOUSE": "clickhouse://u:hunter2@127.0.0.1:1/"}
    done = journeys("emit", cwd=tmp_path, changed=servers)
    assert done.returncode == 1
    assert "127.0.0.1:1" in one_line(done.stderr) and "hunter2" not in done.stderr + done.stdout


@pytest.mark.parametrize(
    "arguments",
    [(), ("--help",), ("--version",), ("status", "--help"), ("doctor",), ("doctor", "--json")],
    ids=lambda each: " ".join(each) or "nothing",
)
def test_when_nobody_reads_the_output_the_command_ends_with_141_and_without_a_word(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    with unread() as output:
        done = subprocess.run(
            [*COMMAND, *arguments],
            cwd=tmp_path, env=environment(), stdout=output, stderr=subprocess.PIPE, text=True, timeout=100,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (141, "")


ASKING = """
import sys
import console.cli
@console.cli.app.command()
def ask() -> None:
    sys.stdout.write("a row")
    if "hangs up" in sys.argv:
        raise BrokenPipeError(32, "Broken pipe")
console.cli.main(["ask"])
"""


def ask(how: str, cwd: Path, stdout: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    """Run a command that writes a row and then loses its server, if it `hangs up`."""
    return subprocess.run(
        [sys.executable, "-c", ASKING, how],
        cwd=cwd, env=environment(), stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=100,
    )  # fmt: skip


def test_a_server_that_hangs_up_is_an_error_and_no_unread_output(tmp_path: Path) -> None:
    done = ask("hangs up", tmp_path)
    assert (done.returncode, done.stdout) == (1, "a row")
    assert one_line(done.stderr) == "journeys: a server closed the connection: Broken pipe"


def test_what_is_still_unwritten_at_the_end_and_unread_is_141_too(tmp_path: Path) -> None:
    with unread() as output:
        done = ask("answers", tmp_path, output)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&-"])
def test_a_closed_stream_loses_what_is_written_to_it_and_nothing_else(closed: str, tmp_path: Path) -> None:
    call = ("sh", "-c", f'exec "$0" "$@" {closed}', *COMMAND)
    for arguments, code in ((["--version"], 0), (["status"], 1), (["sell"], 2)):
        done = subprocess.run([*call, *arguments], cwd=tmp_path, env=environment(), capture_output=True, timeout=100)
        assert done.returncode == code and b"Traceback" not in done.stderr
        assert (done.stdout == b"") == (code != 0 or ">&-" in closed.split())


def test_completion_is_there(tmp_path: Path) -> None:
    done = journeys("--show-completion", "bash", cwd=tmp_path)
    assert done.returncode == 0 and "complete" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "hoisted"),
    [
        (["status", "--debug"], ["--debug", "status"]),
        (["status", "--data-dir", "x", "--json"], ["--data-dir", "x", "status", "--json"]),
        (["status", "--data-dir=x"], ["--data-dir=x", "status"]),
        (["status", "--data-dir"], ["--data-dir", "status"]),
        (["sql", "--", "--debug"], ["sql", "--", "--debug"]),
    ],
)
def test_global_options_may_stand_anywhere(arguments: list[str], hoisted: list[str]) -> None:
    assert hoist_global_options(arguments) == hoisted
