"""What is thought of numbers, and which changes are the largest."""

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from console.report_file import as_json, check_place, name_file, write_page
from console.report_measures import (
    Measure,
    Reading,
    all_measures,
    make_sections,
    mean,
    promoters,
    rate,
    share,
    top_changes,
)
from console.report_model import Facts, Mean, Part, RuleCount, Survey
from console.report_span import Span, choose_span
from schemas.errors import Misconfigured
from tests.console.report_samples import BEFORE, EMPTY, ENGLISH, SPAN, WEEK

NOW = datetime(2026, 9, 15, 1, tzinfo=UTC)


def test_readings_know_how_far_chance_moves_them() -> None:
    found = share(Part(20, 100)), rate(25, 50), mean(Mean(70, 10, 100)), promoters(Survey(100, 20, 30))
    assert [each.value for each in found] == [0.2, 50, 70, -10]
    assert [each.cases for each in found] == [100, 50, 100, 100]
    # 20 promoters, 30 detractors, 50 between: variance of +1, 0, -1 is 0.5 - 0.01.
    assert [each.error for each in found] == pytest.approx([0.04, 10, 1, 7])


def test_nothing_is_divided_by_zero() -> None:
    found = share(Part()), rate(0, 0), rate(3, 0), mean(Mean()), promoters(Survey())
    assert [(each.value, each.cases) for each in found] == 5 * [(None, 0)]


def test_a_database_that_says_nan_says_nothing() -> None:
    assert Mean.of(float("nan"), float("nan"), 0) == Mean()


@pytest.mark.parametrize(
    ("now", "before", "better", "verdict"),
    [
        ((0.5, 40), (0.4, 40), 1, "better"),
        ((0.5, 40), (0.4, 40), -1, "worse"),
        ((0.5, 40), (0.4, 40), 0, "neutral"),
        ((0.5, 40), (0.5, 40), 1, "same"),
        ((0.5004, 40), (0.5, 40), 1, "same"),
        ((0.5, 19), (0.4, 40), 1, "few"),
        ((0.5, 20), (0.4, 19), 1, "unknown"),
    ],
)
def test_a_change_is_judged(now: tuple[float, int], before: tuple[float, int], better: int, verdict: str) -> None:
    measure = Measure("x", "share", better, Reading(*now, 0.01), Reading(*before, 0.01))
    assert measure.verdict == verdict


def test_a_small_change_may_be_chance_and_a_large_one_not() -> None:
    small = Measure("x", "share", 1, share(Part(50, 100)), share(Part(45, 100)))
    large = Measure("x", "share", 1, share(Part(70, 100)), share(Part(45, 100)))
    assert (small.may_be_chance, large.may_be_chance) == (True, False)
    assert not Measure("x", "share", 1, share(Part(50, 100)), share(Part(50, 100))).may_be_chance
    assert large.strength == pytest.approx(0.25 / (0.21 / 100 + 0.2475 / 100) ** 0.5)


def test_counts_are_told_however_few_they_are() -> None:
    assert Measure("x", "count", 0, Reading(1, 1, 1.0), Reading(0, 0, 0.0)).difference == 1


def test_the_largest_changes_are_those_furthest_beyond_chance_with_enough_cases() -> None:
    def make(name: str, hits: int, cases: int, better: int = 1) -> Measure:
        return Measure(name, "share", better, share(Part(hits, cases)), share(Part(cases // 2, cases)))

    better, worse = top_changes(
        [make("b2", 70, 100), make("few", 19, 19), make("b1", 90, 100), make("b3", 60, 100), make("b4", 55, 100),
         make("w", 90, 100, -1), make("same", 50, 100), make("neutral", 99, 100, 0)]
    )  # fmt: skip
    assert [each.name for each in better] == ["b1", "b2", "b3"]
    assert [each.name for each in worse] == ["w"]


def test_single_rules_are_among_the_changes() -> None:
    _, worse = top_changes(all_measures(ENGLISH, make_sections(ENGLISH)))
    assert ("rule_rate", ("long_wait",)) in [(each.name, each.of) for each in worse]
    assert top_changes(all_measures(EMPTY, make_sections(EMPTY))) == ((), ())


def test_a_rule_that_is_gone_is_compared_as_well() -> None:
    facts = Facts(replace(WEEK, frictions=()), replace(BEFORE, frictions=(RuleCount("gone", 90, 80),)))
    better, _ = top_changes(all_measures(facts, make_sections(facts)))
    assert [each.of for each in better if each.name == "rule_rate"] == [("gone",)]


def test_the_default_is_the_last_whole_week() -> None:
    assert choose_span(None, None, None, "UTC", NOW) == SPAN
    # It is Monday already in Jerusalem, three hours before it is in UTC.
    sunday = datetime(2026, 9, 13, 22, tzinfo=UTC)
    assert choose_span(None, None, None, "UTC", sunday) == SPAN.before()
    assert choose_span(None, None, None, "Asia/Jerusalem", sunday) == Span(SPAN.first, SPAN.end, "Asia/Jerusalem")


def test_days_begin_at_midnight_of_their_zone_also_when_the_clock_is_turned() -> None:
    span = choose_span("2026-W43", None, None, "Asia/Jerusalem", datetime(2026, 11, 1, tzinfo=UTC))
    assert (span.since, span.until) == (datetime(2026, 10, 18, 21, tzinfo=UTC), datetime(2026, 10, 25, 22, tzinfo=UTC))
    assert (span.name, len(span.days)) == ("2026-W43", 7)


def test_any_range_is_compared_with_the_one_before_it() -> None:
    span = choose_span(None, "2026-09-01", "2026-09-11", "UTC", NOW)
    assert (span.name, span.before().first, span.before().end) == (
        "2026-09-01_2026-09-10", date(2026, 8, 22), date(2026, 9, 1),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("week", "since", "until", "says"),
    [
        ("2026-37", None, None, "is no week"),
        ("2026-W54", None, None, "is no week"),
        ("0000-W01", None, None, "is no week"),
        ("2026-W40", None, None, "has not come yet"),
        ("2026-W37", "2026-09-01", None, "give either"),
        (None, "2026-09-01", None, "belong together"),
        (None, "2026-09-02", "2026-09-02", "is no day at all"),
        (None, "2026-09-31", "2026-10-02", "is no day: write"),
        (None, "2026-01-01", "2026-09-02", "too many"),
        ("1969-W40", None, None, "too far"),
    ],
)
def test_what_is_no_range_is_refused(week: str | None, since: str | None, until: str | None, says: str) -> None:
    with pytest.raises(Misconfigured, match=says):
        choose_span(week, since, until, "UTC", NOW)


def test_an_unknown_zone_is_refused() -> None:
    with pytest.raises(Misconfigured, match="no time zone"):
        choose_span(None, None, None, "Mars/Base", NOW)


def test_a_file_is_named_after_its_days_and_never_replaced_by_accident(tmp_path: Path) -> None:
    assert name_file(None, SPAN, "") == Path("journeys-report-2026-W37.html")
    assert name_file(None, SPAN, "../S 1") == Path("journeys-report-2026-W37-.._S_1.html")
    path = tmp_path / "report.html"
    check_place(path, force=False)
    write_page("one", path, force=False)
    with pytest.raises(Misconfigured, match="there already"):
        check_place(path, force=False)
    with pytest.raises(Misconfigured, match="there already"):
        write_page("two", path, force=False)
    assert path.read_text("utf-8") == "one"
    check_place(path, force=True)
    write_page("two", path, force=True)
    assert (path.read_text("utf-8"), [each.name for each in tmp_path.iterdir()]) == ("two", ["report.html"])


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    for path, says in ((tmp_path, "is a directory"), (tmp_path / "no" / "report.html", "there is no directory")):
        with pytest.raises(Misconfigured, match=says):
            check_place(path, force=True)


def test_json_keeps_the_cases_of_what_is_not_told() -> None:
    found = as_json(ENGLISH, Path("report.html"))
    numbers = {each["name"]: each for each in found["measures"]}
    assert (found["since"], found["until"]) == ("2026-09-07T00:00:00Z", "2026-09-14T00:00:00Z")
    assert numbers["ces"]["now"] == {"value": None, "cases": 3}
    assert numbers["conversion"]["now"] == {"value": 0.4, "cases": 200}
    assert numbers["conversion"]["verdict"] == "worse"
