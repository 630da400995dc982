from datetime import UTC, datetime, timedelta, timezone

import pytest

from console.alert_filters import Filters, check_prefix, parse_since, parse_span, pick_id
from schemas.errors import Misconfigured
from tests.console.alert_samples import NOW, at


def test_filters_become_one_condition() -> None:
    filters = Filters(rules=("a", "b"), customers=("C-1",), severities=("critical",), since=at(0))
    sql, asked = filters.condition()
    assert sql == (
        "rule IN %(rule)s AND effective_status IN %(effective_status)s AND severity IN %(severity)s"
        " AND customer_id IN %(customer_id)s AND opened_at >= parseDateTime64BestEffort(%(since)s, 3, 'UTC')"
    )
    assert asked == {
        "rule": ("a", "b"), "effective_status": ("open",), "severity": ("critical",), "customer_id": ("C-1",),
        "since": "2026-11-21T12:00:00.000Z",
    }  # fmt: skip
    assert Filters(show_all=True).condition() == ("1", {})


@pytest.mark.parametrize(
    ("filters", "statuses"),
    [
        (Filters(), ("open",)),
        (Filters(kinds=("friction",)), ("open",)),
        (Filters(kinds=("friction", "delight")), ("open", "resolved")),
        (Filters(kinds=("delight",), statuses=("open",)), ("open",)),
        (Filters(show_all=True), ()),
        (Filters(show_all=True, statuses=("withdrawn",)), ("withdrawn",)),
    ],
)
def test_open_ones_are_meant_where_nothing_else_is_said(filters: Filters, statuses: tuple[str, ...]) -> None:
    assert filters.expected_statuses() == statuses


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2h", at(-120)),
        ("1h30m", at(-90)),
        ("2026-11-20", datetime(2026, 11, 20, tzinfo=UTC)),
        ("2026-11-21T10:00:00+02:00", datetime(2026, 11, 21, 10, tzinfo=timezone(timedelta(hours=2)))),
        ("PT2H", at(-120)),
    ],
)
def test_since(text: str, moment: datetime) -> None:
    assert parse_since(text, NOW) == moment


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "2026-11-21T10:00:00", "0s", "9999999999d", "-2h"])
def test_no_moment_is_one_line(text: str) -> None:
    with pytest.raises(Misconfigured, match=r"^'.*' is no moment: write it as 2h") as caught:
        parse_since(text, NOW)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["soon", "0s", "P1Y1", "9" * 30 + "d"])
def test_no_span_is_one_line(text: str) -> None:
    with pytest.raises(Misconfigured, match=r"^'\w*' is no"):
        parse_span(text)


def test_an_id_is_found_by_its_beginning() -> None:
    assert check_prefix(" 3F2A-") == "3f2a-"
    assert pick_id("3f", ["3f2a"]) == "3f2a"
    assert pick_id("3f", ["3f2a", "3f"]) == "3f"
    with pytest.raises(Misconfigured, match="no alert has an id that begins with 3f"):
        pick_id("3f", [])
    with pytest.raises(Misconfigured, match=r"beginning of 4 alerts' ids \(3f1, 3f2, 3f3, …\): give more of it"):
        pick_id("3f", ["3f4", "3f1", "3f3", "3f2"])


@pytest.mark.parametrize("text", ["", "xyz", "%", "3f' OR 1", "3" * 37])
def test_what_cannot_begin_an_id_is_refused(text: str) -> None:
    with pytest.raises(Misconfigured, match="is no id of an alert"):
        check_prefix(text)
