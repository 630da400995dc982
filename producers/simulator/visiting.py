"""Visits to a store: queues, shelves, holds, purchases and returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from producers.simulator.assortment import RETURN_REASONS, pick_agent, pick_sku, pick_store, price
from producers.simulator.hours import DAY_MS, HOUR_MS, STORE
from producers.simulator.story import Step, Story, Telling, format_moment


def visit(story: Story) -> Telling:
    """Come in, look, perhaps buy."""
    yield from _inside(story, _shop_around)


def _inside(story: Story, tell: Callable[..., Telling], *details: Any) -> Telling:
    """Whatever happens in a store happens to a customer who is in one store, once."""
    story.wait_for_opening(STORE)
    story.wait(1, 600)
    # Opens the story at the door: who is in a store is only known when that time has come.
    yield Step(story.at_ms, "pause", None)
    customer_id = story.persona.customer_id
    if customer_id in story.stage.inside:
        return
    story.stage.inside.add(customer_id)
    try:
        store_id = story.persona.home_store if story.chance(0.8) else pick_store(story.rng)
        yield story.touch("visit_started", store_id=store_id)
        story.wait(60, 600)
        yield from tell(story, store_id, *details)
    finally:
        story.stage.inside.discard(customer_id)


def _shop_around(story: Story, store_id: str) -> Telling:
    sku = pick_sku(story.rng)
    if story.chance(0.4):
        there = story.chance(0.85)
        yield story.touch("stock_checked", {"sku": sku, "in_stock": there}, store_id=store_id)
        story.wait(10, 120)
        if not there:
            yield from _miss(story, store_id, sku)
            return
    if story.chance(0.75):
        yield from _pay_at_till(story, store_id, sku)


def _miss(story: Story, store_id: str, sku: str) -> Telling:
    yield story.touch("item_unavailable", {"sku": sku}, store_id=store_id)
    if story.chance(0.35):
        story.wait(30, 200)
        eta = format_moment(story.at_ms + int((1 + 2 * story.rng.random()) * DAY_MS))
        properties = {"sku": sku, "from_store": pick_store(story.rng), "eta": eta}
        yield story.touch("transfer_requested", properties, store_id=store_id, agent_id=pick_agent(story.rng))


def _pay_at_till(story: Story, store_id: str, sku: str) -> Telling:
    yield story.touch("queue_joined", {"queue": "till"}, store_id=store_id)
    if story.chance(0.015):
        # Walks out; nobody ever serves.
        story.wait(120, 1500)
        return
    _stand_in_line(story)
    agent_id = pick_agent(story.rng)
    yield story.touch("service_started", {"queue": "till"}, store_id=store_id, agent_id=agent_id)
    story.wait(10, 60)
    if story.chance(0.6):
        yield story.touch("loyalty_scanned", store_id=store_id)
        story.wait(2, 20)
    receipt = {"receipt_id": story.stage.name("R"), "amount": price(sku), "currency": "ILS", "sku": sku}
    yield story.touch("purchased", receipt, store_id=store_id, agent_id=agent_id)


def _stand_in_line(story: Story) -> None:
    story.wait(5, 420) if story.chance(0.92) else story.wait(420, 1500)


def send_back(story: Story, order_id: str) -> Telling:
    """Bring an order back to a store, and wait for the money."""
    story.wait_hours(20, 150)
    yield from _inside(story, _hand_in, order_id)


def _hand_in(story: Story, store_id: str, order_id: str) -> Telling:
    yield story.touch("queue_joined", {"queue": "returns"}, store_id=store_id)
    _stand_in_line(story)
    yield story.touch("service_started", {"queue": "returns"}, store_id=store_id)
    story.wait(30, 200)
    reason = RETURN_REASONS[int(story.rng.random() * len(RETURN_REASONS))]
    yield story.touch("returned", {"reason": reason}, order_id=order_id, store_id=store_id)
    story.wait(5, 60)
    due_ms = story.at_ms + (3 + int(story.rng.random() * 7)) * DAY_MS
    properties = {"due_at": format_moment(due_ms)}
    yield story.touch("refund_promised", properties, order_id=order_id, store_id=store_id)
    story.branch(_refund, order_id, due_ms, story.chance(0.86))


def _refund(story: Story, order_id: str, due_ms: int, on_time: bool) -> Telling:
    if on_time:
        story.at_ms += int((due_ms - story.at_ms) * (0.3 + 0.69 * story.rng.random()))
    else:
        story.wait_until(due_ms)
        story.wait_hours(5, 150)
    yield story.touch("refund_issued", order_id=order_id)


def trust_the_site(story: Story) -> Telling:
    """The site says that a store has it; the customer goes there, and it has not."""
    sku, store_id = pick_sku(story.rng), story.persona.home_store
    yield story.touch("product_viewed", {"sku": sku})
    story.wait(3, 60)
    yield story.touch("stock_shown", {"sku": sku, "in_stock": True, "store_id": store_id, "quantity": 2})
    story.wait_hours(0.5, 12)
    story.wait_for_opening(STORE)
    yield story.touch("item_unavailable", {"sku": sku}, store_id=store_id)


def reserve(story: Story) -> Telling:
    """Have a product held, and fetch it, or not."""
    sku, store_id = pick_sku(story.rng), story.persona.home_store
    story.wait_for_opening(STORE)
    expires_ms = story.at_ms + (24 if story.chance(0.6) else 48) * HOUR_MS
    properties = {"sku": sku, "expires_at": format_moment(expires_ms)}
    yield story.touch("hold_created", properties, store_id=store_id)
    if story.chance(0.68):
        story.wait_hours(1, 22)
        yield story.touch("hold_collected", {"sku": sku}, store_id=store_id)
        return
    if story.chance(0.5):
        story.wait_until(expires_ms - 3 * HOUR_MS)
        yield story.touch("notification_sent", {"topic": "hold", "sku": sku}, channel="sms", store_id=store_id)
    story.wait_until(expires_ms)
    yield story.touch("hold_expired", {"sku": sku}, store_id=store_id)
