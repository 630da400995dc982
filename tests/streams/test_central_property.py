"""The result is a function of the set of touchpoints: not of their order, repetition, chunks, or of who died when."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.policy import Policy
from streams.touch import Touch
from tests.streams.lives import Life, Seen, Step, live, said, written
from tests.streams.oracle import HOUR_MS, expect
from tests.streams.scenes import (
    HOURS_AFTER,
    STEPS,
    THEMES,
    at,
    deliveries,
    expected,
    facts,
    limits,
    policy,
    touch,
    worlds,
)

# A failure is worth the time that it takes to find the smallest one.
pytestmark = [pytest.mark.timeout(300), pytest.mark.no_cover]
COVERING_HOURS = 1000


def check(data: st.DataObject, world: list[Seen], arrivals: list[Seen], told: list[Touch], chosen: Policy) -> None:
    hot = data.draw(st.sampled_from((0, 100)), label="hot customers")
    life = Life(chosen, arrivals, hot, data.draw(st.permutations(told + told[:1]), label="facts as they are told"))
    now_ms = max(touch.occurred_ms for _, touch in world) + data.draw(HOURS_AFTER, label="hours after") * HOUR_MS
    now_ms += data.draw(st.integers(-1, 1), label="plus ms")
    holds_open = chosen.stitching.hold_open

    def check_between() -> None:
        right = expected(life.processed, life.partition.time_ms, life.told, holds_open)
        assert said(life.writer) == (right.promises, right.episodes)

    found = live(life, data.draw(STEPS, label="steps"), now_ms, check_between)
    assert found == expected(world, life.partition.time_ms, told, holds_open)


@pytest.mark.parametrize("group", THEMES)
@given(data=st.data(), told=facts(), hold_open=st.booleans())
@settings(max_examples=400, deadline=None)
def test_any_order_repetition_chunks_and_deaths_give_the_same(
    group: str, data: st.DataObject, told: list[Touch], hold_open: bool
) -> None:
    world = data.draw(worlds(themes=THEMES[group]), label="world")
    check(data, world, data.draw(deliveries(world), label="arrivals"), told, policy(COVERING_HOURS, hold_open))


A, B = "customer_id:A", "customer_id:B"
QUEUE: dict[str, Any] = {"store_id": "S", "details": {"queue": "tills"}}


@pytest.mark.parametrize("tables_written", range(7))
def test_an_alert_that_a_dying_worker_wrote_and_nobody_confirms_is_taken_back(tables_written: int) -> None:
    life = Life(
        policy(COVERING_HOURS),
        [
            (A, touch("queue_joined", 0, "e0", **QUEUE)),
            (B, touch("page_viewed", 3, "e1")),
            (A, touch("service_started", 2, "e2", **QUEUE)),
        ],
    )
    life.process(2)
    assert "long_wait" in [state.rule for _, state in life.partition.alerts.states.values()]
    life.flush(tables_written)
    life.finish(at(3))
    assert written(life.writer) == expected(life.log, at(3))
    assert "long_wait" not in [row[3] for row in written(life.writer).episodes]


def test_what_is_found_together_with_what_a_former_owner_left_is_told() -> None:
    life = Life(
        policy(COVERING_HOURS), [(A, touch("queue_joined", 0, "e0", **QUEUE)), (B, touch("page_viewed", 3, "e1"))]
    )
    life.process(2)
    life.flush(4, is_late=True)
    assert not life.position
    life.said.clear()
    life.process(2, is_behind=True)
    life.sweep()
    life.finish(at(3))
    assert written(life.writer).episodes


@pytest.mark.parametrize("then", ["flush", "die"])
def test_a_promise_that_no_rule_watches_is_shown_broken_when_its_time_has_passed(then: str) -> None:
    promised = touch("callback_promised", 0, "e0", details={"contact_id": "K", "due_at": at(5)})
    life = Life(Policy(policy(COVERING_HOURS).stitching), [(A, promised)])
    life.process(1)
    life.flush()
    found = live(life, [Step(0, then)], at(5) + 1)
    assert found == expect(life.log, limits(), (), at(5) + 1)
    assert [row[9] for row in found.promises] == ["broken"]
