"""The checks of `journeys doctor` that need no server."""

from pathlib import Path

import pytest

from console.checks import Finding, Reach, judge_lag, judge_missing, run_checks
from schemas.settings import Settings


def check_rules(tmp_path: Path, rules_dir: Path | None) -> Finding:
    settings = Settings(data_dir=tmp_path, rules_dir=rules_dir)
    return {found.name: found for found in run_checks(settings)}["rules"]


def test_rules_of_ones_own_are_read_with_the_shipped_ones(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    shipped = check_rules(tmp_path, None)
    assert shipped.verdict == "ok" and shipped.detail.endswith(" are on: the shipped ones")
    assert check_rules(tmp_path, own).detail == f"{shipped.detail} and those of {own}"


def test_rules_of_ones_own_that_cannot_be_used_are_a_failure_in_one_line(tmp_path: Path) -> None:
    own = tmp_path / "own"
    absent = check_rules(tmp_path, own)
    assert absent.verdict == "fail" and "own is no directory" in absent.detail
    own.mkdir()
    (own / "mine.yaml").write_text("id: 7\n", "utf-8")
    broken = check_rules(tmp_path, own)
    assert broken.verdict == "fail" and "mine.yaml:1: id: " in broken.detail and "\n" not in broken.detail


@pytest.mark.parametrize(
    ("before", "after", "verdict", "told"),
    [
        (Reach(10, 10), Reach(12, 12), "ok", "no record waits"),
        (Reach(10, 9), Reach(11, 10), "ok", "1 record waits, all of them come within the last 3 s"),
        (Reach(10, 9), Reach(1_220, 20), "ok", "1,200 records wait, all of them come within the last 3 s"),
        (Reach(1_000, 0), Reach(1_100, 200), "ok", "900 records wait; 3 s before it was 1,000: catching up"),
        (Reach(10, 9), Reach(10, 9), "warn", "1 record waits; 3 s before it was 1"),
        (Reach(1_000, 0), Reach(1_600, 500), "warn", "1,100 records wait; 3 s before it was 1,000"),
    ],
    ids=["idle", "one in flight twice", "many in flight", "catching up", "stuck", "falling behind"],
)
def test_lag_is_worth_a_warning_only_when_records_wait_long_and_do_not_get_fewer(
    before: Reach, after: Reach, verdict: str, told: str
) -> None:
    finding = judge_lag(before, after, 3.0)
    assert (finding.verdict, finding.detail) == (verdict, told)
    assert bool(finding.advice) == (verdict == "warn")


def test_views_that_somebody_has_dropped_are_a_failure_with_what_to_do() -> None:
    assert judge_missing([], are_views=True).verdict == "ok"
    finding = judge_missing([f"analytics.v{number}" for number in range(8)], are_views=True)
    assert finding.verdict == "fail" and finding.detail.endswith("analytics.v4 and 3 more")
    assert finding.advice == "`journeys migrate --repair` makes views again"
    assert "`journeys migrate --check` tells more" in judge_missing(["journeys.facts"], are_views=False).advice
