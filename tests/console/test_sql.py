"""`journeys sql`: hints for names that are nearly right, truth values, and output that goes to a pipe."""

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from console.cells import is_truth_type
from console.commands.sql import guard_comments, meant_views
from console.sql_parameters import find_unheeded, has_calls, parameters_of
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


TAKES = {"flow": frozenset({"since", "until"}), "on_time": frozenset({"since", "until", "period"})}


@pytest.mark.parametrize(
    ("statement", "unheeded"),
    [
        ("SELECT * FROM analytics.flow(since = '2026-01-01', until = now() - INTERVAL 1 DAY)", []),
        ("SELECT * FROM analytics.flow(since='a', zone='b', until=toDate('c, x = 1'))", ["flow does not take zone,"]),
        (
            "select 1 from analytics.flow (since = f(x = 1), [y = 2],\n store_id = 'S')",
            ["flow does not take store_id,"],
        ),
        (
            "SELECT 1 FROM analytics.flow(a = 1, b = 2) JOIN analytics.on_time(period = 'week', c = 3) ON zone = 4",
            ["flow does not take a, b,", "on_time does not take c,"],
        ),
        ("SELECT 'analytics.flow(zone = 1)' FROM analytics.other(zone = 1) -- analytics.flow(zone = 1)", []),
        ("SELECT count() FROM analytics.journeys WHERE (customer_id = 'C-1')", []),
    ],
)
def test_parameters_that_a_view_does_not_take_are_found(statement: str, unheeded: list[str]) -> None:
    found = find_unheeded(statement, TAKES)
    assert [line.partition(" which")[0] for line in found] == [f"analytics.{each}" for each in unheeded]
    assert has_calls(statement) or not unheeded


def test_a_statement_that_calls_no_view_needs_no_look() -> None:
    assert not has_calls("SELECT count() FROM analytics.journeys WHERE (customer_id = 'C-1')")
    assert has_calls("SELECT count() FROM analytics.flow(since = '2026-01-01')")
    assert parameters_of("… WHERE a >= {since:DateTime64(3, 'UTC')} AND b = {kind:String}") == {"since", "kind"}


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
