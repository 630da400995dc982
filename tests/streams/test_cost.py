"""One customer with very many touchpoints: the work of a flush stays bounded. Work is counted, not timed."""

import random

import pytest

from sinks import tables
from streams.customer import Customer
from streams.states import SEGMENT_TOUCHES
from streams.stitching import Stitcher
from streams.touch import Touch, order_key
from tests.streams.lives import Life, Seen, written
from tests.streams.scenes import at, expected, policy, touch

pytestmark = pytest.mark.no_cover

TOUCHES, CHUNK = 10_000, 10
TYPES = ("page_viewed", "product_viewed", "searched", "cart_updated", "contact_started", "contact_ended")


def long_journey() -> list[Seen]:
    """One customer's touches every 36 s, one in fifty some ten minutes late; a contact now and then."""
    chance = random.Random(7)
    touches: list[Touch] = []
    for number in range(TOUCHES):
        kind = TYPES[number // 500 % 2 * 4 + number // 1000 % 2] if number % 500 == 0 else TYPES[number % 4]
        details = {"contact_id": f"K-{number // 1000}"} if kind.startswith("contact") else None
        touches.append(touch(kind, number / 100, f"e{number}", details=details))
    late = [one.occurred_ms + (600_000 if chance.random() < 0.02 else 0) for one in touches]
    return [("customer_id:A", one) for _, one in sorted(zip(late, touches, strict=True), key=lambda pair: pair[0])]


class CountingStitcher(Stitcher):
    """Counts what it is fed, in all."""

    fed = 0

    def feed(self, touch: Touch) -> None:
        CountingStitcher.fed += 1
        super().feed(touch)


@pytest.fixture(scope="module")
def life() -> Life:
    """Ten thousand touches in a thousand chunks, each flushed."""
    life = Life(policy(24), long_journey())
    for _ in range(TOUCHES // CHUNK):
        life.process(CHUNK)
        life.flush()
    life.finish(at(101))
    return life


def test_the_journey_is_whole_and_right(life: Life) -> None:
    assert written(life.writer) == expected(life.log, life.partition.time_ms)


def test_a_flush_writes_a_bounded_state_however_long_the_journey(life: Life) -> None:
    rows = life.writer.rows(tables.CUSTOMER_STATE)
    early = max(len(row["blob"]) for row in rows[:200])
    assert max(len(row["blob"]) for row in rows) < 2 * early
    sealed = [row for row in rows if row["segment"]]
    assert len(sealed) == len({row["segment"] for row in sealed}) == TOUCHES // SEGMENT_TOUCHES - 1
    assert len(rows) - len(sealed) <= TOUCHES // CHUNK + 2


def test_a_flush_writes_the_journey_once(life: Life) -> None:
    assert len(life.writer.rows(tables.JOURNEYS)) <= TOUCHES // CHUNK + 2
    assert len(life.writer.rows(tables.TOUCHPOINTS)) == TOUCHES


def test_touches_in_order_are_stitched_once_and_a_chunk_with_disorder_once_more() -> None:
    customer = Customer("customer_id:A", policy(24))
    customer.stitcher, CountingStitcher.fed = CountingStitcher(customer.policy.stitching), 0
    for _, one in sorted(long_journey(), key=lambda seen: order_key(seen[1])):
        customer.add(one, one.occurred_ms)
        customer.review(one.occurred_ms)
    assert CountingStitcher.fed == TOUCHES


def test_disorder_costs_one_new_walk_per_chunk_at_most() -> None:
    customer, now_ms = Customer("customer_id:A", policy(24)), 0
    log = [one for _, one in long_journey()]
    walks = []
    for start in range(0, TOUCHES, CHUNK):
        stitchers = {id(customer.stitcher): customer.stitcher}
        for one in log[start : start + CHUNK]:
            now_ms = max(now_ms, one.occurred_ms)
            customer.add(one, now_ms)
            stitchers[id(customer.stitcher)] = customer.stitcher
        customer.review(now_ms)
        stitchers[id(customer.stitcher)] = customer.stitcher
        walks.append(len(stitchers) - 1)
    assert max(walks) == 1
