"""What can change no more is forgotten, and nothing that was written is taken back for it."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinks import tables
from streams.policy import Policy
from streams.stitching import StitchingRules
from tests.streams.examples import search
from tests.streams.lives import Life, Seen, Step, live, written
from tests.streams.oracle import HOUR_MS, Expected, Limits, expect
from tests.streams.scene_rules import CALENDARS, PLAN, RULES
from tests.streams.scenes import (
    ALL_THEMES,
    GAP_HOURS,
    HOURS_AFTER,
    LONG_GRIDS,
    STEPS,
    WITHOUT_PROMISES,
    at,
    deliveries,
    expected,
    nearly_ordered,
    policy,
    touch,
    worlds,
)

# A failure is worth the time that it takes to find the smallest one.
pytestmark = [pytest.mark.timeout(300), pytest.mark.no_cover, pytest.mark.search]
LATENESS_HOURS = 4


def outcome_of(data: st.DataObject, world: list[Seen], hold_open: bool) -> tuple[Expected, Expected]:
    """What was written and what the oracle says, for arrivals that come at most the allowed lateness late."""
    arrivals = data.draw(nearly_ordered(world, LATENESS_HOURS), label="arrivals")
    hot = data.draw(st.sampled_from((0, 100)), label="hot customers")
    life = Life(policy(LATENESS_HOURS, hold_open), arrivals, hot_customers=hot)
    steps = [step for step in data.draw(STEPS, label="steps") if step.then != "pass"]
    hours = data.draw(HOURS_AFTER, label="hours after")
    found = live(life, steps, max(touch.occurred_ms for _, touch in world) + hours * HOUR_MS)
    return found, expected(world, life.partition.time_ms, (), hold_open)


def few(themes: tuple[tuple[str, ...], ...] = ALL_THEMES) -> st.SearchStrategy[list[Seen]]:
    return worlds(max_events=8, grids=LONG_GRIDS, versions=False, themes=themes)


@given(data=st.data(), world=few(WITHOUT_PROMISES))
@search(200)
def test_disorder_within_the_allowed_lateness_never_shows(data: st.DataObject, world: list[Seen]) -> None:
    found, right = outcome_of(data, world, True)
    assert found == right


def stretches(results: Expected) -> set[tuple[object, ...]]:
    """Journeys without what promises and friction say of them."""
    return {row[:7] for row in results.journeys}


def promises(results: Expected) -> set[tuple[object, ...]]:
    """Promises without how they stand."""
    return {row[:9] for row in results.promises}


@given(data=st.data(), world=few())
@search(200)
def test_with_promises_too_journeys_are_the_same(data: st.DataObject, world: list[Seen]) -> None:
    found, right = outcome_of(data, world, True)
    assert stretches(found) == stretches(right)
    assert promises(found) == promises(right)


@given(world=few(), steps=STEPS, arrivals=st.data())
@search(100)
def test_late_touchpoints_are_kept_marked_and_change_nothing(
    world: list[Seen], steps: list[Step], arrivals: st.DataObject
) -> None:
    life = Life(policy(LATENESS_HOURS), arrivals.draw(deliveries(world)))
    before = live(life, steps, at(5000))
    late = [("customer_id:A", touch("order_placed", 10, "late-1")), ("customer_id:Z", touch("delivered", 60, "late-2"))]
    life.log = [*life.log, *late]
    life.finish(at(5001))
    assert written(life.writer) == before
    kept = {row["event_id"]: row["late"] for row in life.writer.latest(tables.TOUCHPOINTS)}
    assert (kept["late-1"], kept["late-2"]) == (1, 1)
    assert {identity.event_id for _, identity in world} <= kept.keys()


def late_ones(life: Life) -> set[tuple[str, str]]:
    return {(row["customer_id"], row["event_id"]) for row in life.writer.latest(tables.TOUCHPOINTS) if row["late"]}


@given(data=st.data(), world=few())
@search(200)
def test_what_is_late_does_not_depend_on_chunks_or_deaths(data: st.DataObject, world: list[Seen]) -> None:
    arrivals = data.draw(deliveries(world))
    one, other = Life(policy(LATENESS_HOURS), arrivals), Life(policy(LATENESS_HOURS), arrivals, hot_customers=0)
    steps = [step for step in data.draw(STEPS, label="steps") if step.then != "pass"]
    found = stretches(live(one, [Step(len(arrivals))], at(200))), stretches(live(other, steps, at(200)))
    assert found[0] == found[1]
    assert late_ones(one) == late_ones(other)


@pytest.mark.parametrize("tables_written", range(8))
def test_what_was_late_stays_late_when_it_is_read_again_after_what_came_later(tables_written: int) -> None:
    hours = (14, 0, 0, 2)
    log = [("customer_id:A", touch("delivery_failed", at_hour, f"e{n}")) for n, at_hour in enumerate(hours)]
    life = kept(log, [Step(1, "flush"), Step(3, "die while writing", tables_written)], at(200))
    assert late_ones(life) == {("A", "e1"), ("A", "e2")}


def kept(arrivals: Sequence[Seen], steps: Sequence[Step], now_ms: int) -> Life:
    life = Life(policy(LATENESS_HOURS), arrivals)
    live(life, steps, now_ms)
    return life


def test_who_is_forgotten_and_comes_back_before_the_flush_is_stored() -> None:
    life = kept([("customer_id:A", touch("page_viewed", 0, "e0"))], [Step(1, "flush")], at(15))
    life.partition.advance(at(100))
    assert life.partition.open_customers == 0
    life.log = [*life.log, ("customer_id:A", touch("page_viewed", 100, "e1"))]
    life.finish(at(100))
    life.start()
    assert life.partition.open_customers == 1


@pytest.mark.parametrize(("hours", "plus_ms", "is_late"), [(12, 0, False), (12, 1, True)])
def test_the_allowed_lateness_begins_when_the_journey_closes(hours: int, plus_ms: int, is_late: bool) -> None:
    first = ("customer_id:A", touch("page_viewed", 2, "e0"))
    clock = ("customer_id:B", touch("page_viewed", 2 + hours, "e1", plus_ms=plus_ms))
    second = ("customer_id:A", touch("page_viewed", 1, "e2"))
    assert late_ones(kept([first, clock, second], [], at(20))) == ({("A", "e2")} if is_late else set())


def test_a_closed_customer_leaves_no_state() -> None:
    life = kept([("customer_id:A", touch("contact_started", 0, "e0", order_id="O-1"))], [Step(1, "flush")], at(1000))
    assert life.writer.latest(tables.CUSTOMER_STATE) == []
    assert [row["status"] for row in life.writer.latest(tables.JOURNEYS)] == ["closed"]


@pytest.mark.parametrize("then", ["flush", "die"])
def test_a_wish_is_answered_long_after_its_journey_has_closed(then: str) -> None:
    gap, max_gap = GAP_HOURS * HOUR_MS, 60 * HOUR_MS
    wish = touch("back_in_stock_requested", 0, "e0", details={"sku": "P"})
    log = [("customer_id:A", wish), ("customer_id:B", touch("page_viewed", 30, "e1"))]
    told = [touch("restocked", 31, "f0", source="store", details={"sku": "P"})]
    life = Life(Policy(StitchingRules(gap, max_gap, LATENESS_HOURS * HOUR_MS), PLAN), log, facts=told)
    found = live(life, [Step(1, "flush"), Step(1, "flush"), Step(0, then)], at(55, 1))
    assert found == expect(log, Limits(gap, max_gap), RULES, at(55, 1), told, CALENDARS)
    assert [row[3] for row in found.episodes] == ["restock_silence"]
