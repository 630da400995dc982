"""Whole histories at once come to the rows of a worker that has read the same, one after another."""

from __future__ import annotations

from schemas.partitioning import partition_of
from streams.backfill.rows import note_newest
from streams.backfill.stitching import Found, Standing, Stitching
from streams.episodes import NO_CONTEXT
from streams.identity.asking import Known
from streams.policy import Policy
from streams.row_blocks import blocks
from streams.rows import Origin
from streams.stitching import StitchingRules
from streams.touch import Touch

DAY_MS = 86_400_000
POLICY = Policy(StitchingRules(gap_ms=DAY_MS, max_gap_ms=9 * DAY_MS, lateness_ms=DAY_MS))


def stitching(time_ms: int) -> Stitching:
    standings = [Standing(Origin(number, 0, 77), time_ms) for number in range(4)]
    return Stitching(POLICY, {}, NO_CONTEXT, standings)


def visit(event_id: str, day: float, received_ms: int = 5) -> Touch:
    return Touch(int(day * DAY_MS), "web", event_id, "page_viewed", received_ms)


def test_a_gap_parts_journeys_and_only_what_is_open_is_kept_as_state() -> None:
    run = stitching(21 * DAY_MS)
    run.stitch("C-1", [visit("a", 1), visit("b", 1.5), visit("c", 20.5)])
    run.stitch("C-2", [visit("a", 1)])
    rows = run.take(0)
    journeys = [(row[0], row[4], row[6]) for row in rows.journeys]
    assert journeys == [("C-1", "closed", 2), ("C-1", "open", 1), ("C-2", "closed", 1)]
    assert [(row[0], row[-1]) for row in rows.states] == [("customer_id:C-1", 0)]
    assert (run.journeys, run.alerts) == (3, 0)


def test_of_two_versions_of_a_touchpoint_the_first_received_counts_and_the_other_row_is_taken_back() -> None:
    run = stitching(3 * DAY_MS)
    run.stitch("C-1", [visit("a", 1, received_ms=9), visit("a", 1.2, received_ms=5), visit("b", 1.3)])
    rows = run.take(0)
    assert [(row[2], row[6]) for row in rows.journeys] == [(int(1.2 * DAY_MS), 2)]
    written = {table.name: columns for table, columns in blocks(rows)}["journeys.touchpoints"]
    assert [(row[1], row[3], row[-1]) for row in zip(*written, strict=True)] == [(DAY_MS, "a", 1)]


def test_rows_of_before_that_no_longer_hold_are_taken_back() -> None:
    run = stitching(30 * DAY_MS)
    gone = "00000000-0000-5000-8000-000000000001"
    run.stitch(
        "anonymous_id:a",
        [],
        Found(journey_ids=[gone], episode_ids=[gone], known=Known([], "customer_id:C-1", "linked", 3)),
    )
    rows = run.take(0)
    assert [(row[1], row[-1]) for row in rows.journeys] == [(gone, 1)]
    assert [(row[1], row[-1]) for row in rows.alerts] == [(gone, 1)]
    assert not rows.states
    assert (run.journeys, run.alerts) == (0, 0), "what is taken back is no result"


def test_each_partition_comes_to_its_newest_touchpoint() -> None:
    keys = [f"customer_id:C-{number}" for number in range(40)] * 2
    times = [*range(40), *range(100, 140)]
    newest: dict[int, int] = {3: 10**6}
    note_newest(newest, 4, keys, times)
    numbers = [partition_of(key.encode(), 4) for key in keys]
    expected = {
        each: max(moment for number, moment in zip(numbers, times, strict=True) if number == each) for each in range(3)
    }
    assert newest == {**expected, 3: 10**6}
