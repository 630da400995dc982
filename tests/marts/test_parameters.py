"""Parameters of views as the cookbook tells of them: what is not checked, and what is passed over."""

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


def test_texts_that_mean_nothing_are_not_checked(shop: ClickHouseWriter) -> None:
    places = f"SELECT count() > 0 FROM analytics.episode_places({RANGE}, kind = '%s')"
    assert [rows(shop, places % kind)[0][0] for kind in ("friction", "nonsense")] == [1, 0]
    asked, other, human = (
        rows(shop, f"SELECT {COUNTS} FROM {SERVICE % by} ORDER BY channel") for by in ("any", "x", "human")
    )
    assert asked == other != human
    funnel = f"analytics.funnel({RANGE}, steps = ['no_such_type'], window_seconds = 60)"
    assert rows(shop, f"SELECT step, reached FROM {funnel}") == [(1, 0)]


@pytest.mark.parametrize(
    "call", [f"friction_by({RANGE}, dimension = 'nonsense')", f"on_time({RANGE}, period = 'nonsense')"]
)
def test_other_texts_that_mean_nothing_are_refused(shop: ClickHouseWriter, call: str) -> None:
    with pytest.raises(Terminal):
        rows(shop, f"SELECT * FROM analytics.{call}")
