"""Parameters of views as the cookbook tells of them: what is refused, and what is passed over."""

from typing import Any

import pytest

from console.sql_parameters import TAKES_SQL, find_unheeded, parameters_of
from schemas.errors import Terminal
from sinks.writer import ClickHouseWriter

pytestmark = pytest.mark.integration
RANGE = "since = '2026-09-01', until = '2026-10-27'"
SERVICE = f"analytics.service_level({RANGE}, threshold_seconds = 60, short_abandon_seconds = 5, answered_by = '%s')"

COUNTS = "channel, offered, answered, answered_in_time, abandoned"


def rows(analyst: ClickHouseWriter, sql: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for block in analyst.stream(sql, {}) for row in block]


def test_a_parameter_that_a_view_does_not_take_changes_nothing_and_is_told(shop: ClickHouseWriter) -> None:
    takes = {name.decode(): parameters_of(sql.decode()) for name, sql in rows(shop, TAKES_SQL)}
    assert takes["flow"] == {"since", "until", "min_journeys"} and "journeys" not in takes
    plain, wrong = (f"SELECT count() FROM analytics.orders_between({RANGE}{more})" for more in ("", ", zone = 'X/Y'"))
    assert rows(shop, plain) == rows(shop, wrong) and rows(shop, plain)[0][0] > 0
    [told] = find_unheeded(wrong, takes)
    assert told == "analytics.orders_between does not take zone, which changes nothing: it takes since, until"


def test_a_step_may_be_of_any_type(shop: ClickHouseWriter) -> None:
    funnel = f"analytics.funnel({RANGE}, steps = ['no_such_type'], window_seconds = 60)"
    assert rows(shop, f"SELECT step, reached FROM {funnel}") == [(1, 0)]


def test_who_answers_makes_a_difference(shop: ClickHouseWriter) -> None:
    anyone, human = (rows(shop, f"SELECT {COUNTS} FROM {SERVICE % by} ORDER BY channel") for by in ("any", "human"))
    assert anyone != human


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (f"analytics.friction_by({RANGE}, dimension = 'nonsense')", "dimension is rule, store"),
        (f"analytics.on_time({RANGE}, period = 'nonsense')", "nonsense"),
        (f"analytics.episode_places({RANGE}, kind = 'frictions')", "kind is friction, delight or opportunity"),
        (SERVICE % "Human", "answered_by is human or any"),
        # Also where there are no rows to be looked at.
        ("analytics.episode_places(since = '2001-01-01', until = '2001-01-02', kind = 'x')", "kind is friction"),
        (SERVICE.replace("2026", "2001") % "x", "answered_by is human or any"),
    ],
)
def test_texts_that_mean_nothing_are_refused(shop: ClickHouseWriter, call: str, told: str) -> None:
    with pytest.raises(Terminal, match=told):
        rows(shop, f"SELECT * FROM {call}")
