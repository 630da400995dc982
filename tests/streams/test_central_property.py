"""The result is a function of the set of touchpoints: not of their order, repetition, chunks, or of who died when."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.policy import Policy
from tests.streams.lives import Life, Seen, Step, live, written
from tests.streams.oracle import HOUR_MS, expect
from tests.streams.scenes import HOURS_AFTER, RULES, STEPS, at, deliveries, limits, policy, touch, worlds

# A failure is worth the time that it takes to find the smallest one.
pytestmark = pytest.mark.timeout(300)
COVERING_HOURS = 1000


def check(data: st.DataObject, world: list[Seen], arrivals: list[Seen], chosen: Policy) -> None:
    life = Life(chosen, arrivals, hot_customers=data.draw(st.sampled_from((0, 100)), label="hot customers"))
    now_ms = max(touch.occurred_ms for _, touch in world) + data.draw(HOURS_AFTER, label="hours after") * HOUR_MS
    now_ms += data.draw(st.integers(0, 1), label="plus ms")
    found = live(life, data.draw(STEPS, label="steps"), now_ms)
    expected = expect(world, limits(chosen.stitching.hold_open), RULES, life.partition.time_ms)
    assert found == expected


@given(data=st.data(), world=worlds(), hold_open=st.booleans())
@settings(max_examples=600, deadline=None)
def test_any_order_repetition_chunks_and_deaths_give_the_same(
    data: st.DataObject, world: list[Seen], hold_open: bool
) -> None:
    check(data, world, data.draw(deliveries(world), label="arrivals"), policy(COVERING_HOURS, hold_open))


A, B = "customer_id:A", "customer_id:B"
QUEUE: dict[str, Any] = {"store_id": "S", "details": {"queue": "tills"}}


@pytest.mark.parametrize("tables_written", range(7))
def test_an_alert_that_a_dying_worker_wrote_and_nobody_confirms_is_taken_back(tables_written: int) -> None:
    life = Life(
        policy(COVERING_HOURS),
        [
            (A, touch("queue_joined", 0, "e0", **QUEUE)),
            (B, touch("page_viewed", 3, "e1")),
            (A, touch("service_started", 1, "e2", **QUEUE)),
        ],
    )
    life.process(2)
    assert [state.status for _, state in life.partition._episodes.values()] == ["open"]
    life.flush(tables_written)
    life.finish(at(3))
    assert written(life.writer) == expect(life.log, limits(), RULES, at(3))
    assert not written(life.writer).episodes


@pytest.mark.parametrize("then", ["flush", "die"])
def test_a_promise_that_no_rule_watches_is_shown_broken_when_its_time_has_passed(then: str) -> None:
    promised = touch("callback_promised", 0, "e0", details={"contact_id": "K", "due_at": at(5)})
    life = Life(policy(COVERING_HOURS), [(A, promised)])
    life.process(1)
    life.flush()
    found = live(life, [Step(0, then)], at(5) + 1)
    assert found == expect(life.log, limits(), RULES, at(5) + 1)
    assert [row[-1] for row in found.promises] == ["broken"]
