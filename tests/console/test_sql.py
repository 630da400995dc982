"""`journeys sql`: hints for names that are nearly right, truth values, and output that goes to a pipe."""

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from console.cells import is_truth_type
from console.commands.sql import guard_comments, meant_views
from console.sql_results import Columns, with_truths, write_table

VIEWS = ("alerts", "journeys", "promises", "touchpoints")


@pytest.mark.parametrize(
    ("statement", "meant"),
    [
        ("SELECT * FROM journeys", ["analytics.journeys"]),
        ("select * from touchpoint", ["analytics.touchpoints"]),
        ("SELECT 1 FROM journeys.alerts AS a\nJOIN promise ON 1", ["analytics.alerts", "analytics.promises"]),
        ("SELECT 1 FROM alerts JOIN alert ON 1", ["analytics.alerts"]),
        ("SELECT * FROM analytics.journeys", []),
        ("SELECT 'it\\'s from journeys', \"from\" FROM system.numbers", []),
        ("SELECT 1 FROM (SELECT 2)", []),
        ("DROP TABLE journeys.touchpoints", []),
    ],
)
def test_a_table_that_is_nearly_a_view_is_taken_for_it(statement: str, meant: list[str]) -> None:
    assert meant_views(statement, VIEWS) == meant


@pytest.mark.parametrize(
    ("kind", "is_truth"),
    [("Bool", True), ("Nullable(Bool)", True), ("LowCardinality(Nullable(Bool))", True), ("UInt8", False),
     ("Array(Bool)", False), ("Map(String, Bool)", False)],
)  # fmt: skip
def test_truth_types(kind: str, is_truth: bool) -> None:
    assert is_truth_type(kind) == is_truth


CELLS = st.sampled_from((0, 1, True, False, None))


@given(st.lists(st.tuples(CELLS, CELLS, CELLS)))
def test_only_columns_of_truth_values_become_true_and_false(rows: list[tuple[Any, ...]]) -> None:
    columns = Columns(("a", "b", "c"), ("Bool", "UInt8", "Nullable(Bool)"))
    for before, after in zip(rows, with_truths(columns, iter(rows)), strict=True):
        assert after[1] is before[1]
        for place in (0, 2):
            assert after[place] == before[place] and (after[place] is None or type(after[place]) is bool)


def test_rows_without_truth_values_are_handed_on_as_they_come() -> None:
    row = (1, "x")
    [same] = with_truths(Columns(("a", "b"), ("UInt8", "String")), iter([row]))
    assert same is row


def shown(is_terminal: bool) -> list[str]:
    out = io.StringIO()
    console = Console(file=out, force_terminal=is_terminal, width=80, color_system=None, highlight=False)
    write_table(console, Columns(("rule", "count"), ("String", "UInt64")), [("long_wait", 3)], 500)
    return [line.strip() for line in out.getvalue().splitlines()]


def test_in_a_pipe_the_first_line_of_a_table_is_its_head() -> None:
    assert shown(is_terminal=False)[0].split() == ["rule", "count"]
    assert shown(is_terminal=True)[0] == ""
    assert shown(is_terminal=False)[-2:] == ["long_wait       3", "1 row"]


@pytest.mark.parametrize(
    "sql", ["-- must be empty\nSELECT 1", "--why\nSELECT 1", "-- 1", "--\tx=1\nSELECT 1", "--a=b\nSELECT 1"]
)
def test_sql_may_begin_with_a_comment(sql: str) -> None:
    assert guard_comments(["--format", "json", sql]) == ["--format", "json", f" {sql}"]


@pytest.mark.parametrize("argument", ["--", "--file=my question.sql", "--format", "-", "SELECT 1 -- why", "--as=admin"])
def test_options_stay_options(argument: str) -> None:
    assert guard_comments([argument]) == [argument]
