"""Buying on the site, from the first page to the order."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from producers.simulator.assortment import PAYMENT_FAILURES, pick_store, price
from producers.simulator.browsing import fill_cart, log_in, look_around
from producers.simulator.fulfilling import Order, fulfil, hand_over_at_store, split
from producers.simulator.hours import DAY_MS, at_hour
from producers.simulator.story import Step, Story, Telling, format_moment


def buy(story: Story) -> Telling:
    """Look around, fill the cart, pay, and wait for the parcel."""
    yield from look_around(story)
    skus = yield from fill_cart(story, 1 + int(story.rng.random() * 2.4))
    if not story.known:
        yield from log_in(story)
    amount = round(sum(map(price, skus)), 2)
    yield story.touch("checkout_started", {"cart_value": amount})
    story.wait(30, 240)
    if (yield from _pay(story)):
        yield from _order(story, amount, skus[0])


def _pay(story: Story) -> Generator[Step, None, bool]:
    """Whether the payment went through in the end."""
    failures = 0
    while failures < 3 and story.chance(0.4 if failures else 0.06):
        reason = PAYMENT_FAILURES[int(story.rng.random() * len(PAYMENT_FAILURES))]
        yield story.touch("payment_failed", {"reason": reason})
        failures += 1
        story.wait(20, 200)
    return failures < 2 or story.chance(0.4)


def _order(story: Story, amount: float, sku: str) -> Telling:
    order_id = story.stage.name("O")
    properties: dict[str, Any] = {"amount": amount, "currency": "ILS", "sku": sku}
    if story.chance(0.2):
        store_id = story.persona.home_store if story.chance(0.8) else pick_store(story.rng)
        properties["delivery"] = "pickup"
        yield story.touch("order_placed", properties, order_id=order_id, store_id=store_id)
        yield from hand_over_at_store(story, order_id, store_id)
        return
    promised_ms = at_hour(story.at_ms, 20) + (1 + int(story.rng.random() * 5)) * DAY_MS
    promised_by = format_moment(promised_ms)
    if story.chance(0.85):
        yield story.touch("order_placed", {**properties, "promised_by": promised_by}, order_id=order_id)
    else:
        yield story.touch("order_placed", properties, order_id=order_id)
        story.wait(60, 3600)
        yield story.touch("delivery_promised", {"promised_by": promised_by}, order_id=order_id)
    yield from fulfil(story, Order(order_id, promised_ms, split(story)))
