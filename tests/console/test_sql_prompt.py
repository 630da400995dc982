"""The prompt completes what the server has, asks what ends with a semicolon, and goes on after an error."""

from pathlib import Path

from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from console.sql_prompt import HELP, HINT, Names, SqlCompleter, is_whole, read_statements

NAMES = Names.of(
    [
        ("analytics.alerts", ["rule", "status"]),
        ("analytics.journeys", ["outcome", "orders"]),
        ("analytics.flow", []),
        ("analytics.alerts", []),
    ]
)


def completed(text: str) -> list[str]:
    found = SqlCompleter(NAMES).get_completions(Document(text), CompleteEvent(completion_requested=True))
    return [each.text for each in found]


def typed(keys: str, history: Path | None = None) -> tuple[list[str], list[str]]:
    said: list[str] = []
    with create_pipe_input() as keyboard:
        keyboard.send_text(keys)
        found = list(read_statements(NAMES, history, said.append, keyboard, DummyOutput()))
    return found, said


def test_views_are_completed_with_or_without_their_database() -> None:
    assert completed("SELECT * FROM analytics.al") == completed("SELECT * FROM aler") == ["analytics.alerts"]
    assert completed("SELECT * FROM fl") == ["analytics.flow"]


def test_columns_are_those_of_the_views_that_the_statement_names() -> None:
    assert completed("SELECT o") == ["outcome", "orders", "ORDER BY", "ON", "OR"]
    assert completed("SELECT * FROM analytics.alerts WHERE st") == ["status"]
    assert "orders" not in completed("SELECT * FROM analytics.alerts WHERE ")


def test_keywords_come_last_whatever_their_case() -> None:
    assert completed("sel") == ["SELECT"]


def test_a_statement_ends_with_a_semicolon_and_may_take_many_lines() -> None:
    assert [is_whole(text) for text in ("SELECT 1", "SELECT 1;", "SELECT 1; ", "", "exit", "\\q")] == [
        False, True, True, True, True, True,
    ]  # fmt: skip
    found, said = typed("SELECT 1,\r2;\rSELECT 3;\r\x04")
    assert found == ["SELECT 1,\n2", "SELECT 3"] and said == [HINT]


def test_ctrl_c_drops_what_was_typed_and_exit_leaves() -> None:
    assert typed("SELECT wrong\x03SELECT 2;\r;\rexit\rSELECT 9;\r")[0] == ["SELECT 2"]


def test_help_says_how_to_see_what_there_is_and_swallows_nothing() -> None:
    found, said = typed("help\r\\d\rSELECT 1;\r\x04")
    assert found == ["SELECT 1"] and said == [HINT, f"{HELP}\n{HINT}", f"{HELP}\n{HINT}"]


def test_what_was_asked_is_kept_for_the_next_time(tmp_path: Path) -> None:
    history = tmp_path / "sql_history"
    assert typed("SELECT 7;\r\x04", history)[0] == ["SELECT 7"]
    # Arrow up, Enter.
    assert typed("\x1b[A\r\x04", history)[0] == ["SELECT 7"]
