"""The result is a function of the set of touchpoints: not of their order, repetition, chunks, or of who died when."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.customer import Policy
from tests.streams.lives import Life, Seen, live
from tests.streams.oracle import HOUR_MS, expect
from tests.streams.scenes import HOURS_AFTER, RULES, STEPS, deliveries, limits, policy, worlds

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
@settings(max_examples=400, deadline=None)
def test_any_order_repetition_chunks_and_deaths_give_the_same(
    data: st.DataObject, world: list[Seen], hold_open: bool
) -> None:
    check(data, world, data.draw(deliveries(world), label="arrivals"), policy(COVERING_HOURS, hold_open))
