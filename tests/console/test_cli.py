"""What every command has in common: help, exit codes, one clear line of error."""

from pathlib import Path

import pytest

from console.cli import hoist_global_options
from tests.console.running import journeys, one_line

COMMANDS = ("up", "demo", "status", "worker", "migrate", "emit", "replay", "sql", "doctor")
NEED_SERVERS = (("status",), ("worker",), ("migrate",), ("emit",), ("sql", "SELECT 1"))


def test_version(tmp_path: Path) -> None:
    done = journeys("--version", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.startswith("journeys 0.")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command: str, tmp_path: Path) -> None:
    done = journeys(command, "--help", cwd=tmp_path)
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
        (("sql", "--file", "absent.sql"), 1, "absent.sql: cannot be read"),
        (("sql", "SELECT 1", "--format", "xml"), 2, "'xml' is not one of"),
        (("replay", "absent.csv"), 1, "no such file: absent.csv"),
        (("up", "--kafka-port", "70000"), 2, "--kafka-port"),
        (("migrate", "--plan", "--status"), 1, "give one of --plan and --status"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, tuple) else None,
)
def test_misuse_is_one_line(arguments: tuple[str, ...], code: int, told: str, tmp_path: Path) -> None:
    done = journeys(*arguments, cwd=tmp_path)
    assert done.returncode == code
    assert told in one_line(done.stderr) and done.stdout == ""


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


def test_a_kafka_that_does_not_answer_is_one_line(tmp_path: Path) -> None:
    servers = {"KAFKA": "127.0.0.1:1", "CLICKHOUSE": "clickhouse://u:hunter2@127.0.0.1:1/"}
    done = journeys("emit", cwd=tmp_path, changed=servers)
    assert done.returncode == 1
    assert "127.0.0.1:1" in one_line(done.stderr) and "hunter2" not in done.stderr + done.stdout


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
