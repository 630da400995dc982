"""What becomes of the promise to deliver: kept, moved, moved silently, or broken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from producers.simulator.assortment import FAILED_DELIVERIES
from producers.simulator.contacting import need_help
from producers.simulator.hours import DAY_MS, HOUR_MS
from producers.simulator.praising import give_feedback
from producers.simulator.story import Step, Story, Telling, format_moment
from producers.simulator.visiting import send_back


class Order(NamedTuple):
    """An order on its way: when it is promised, and the ids of its parcels when it comes in more than one."""

    order_id: str
    promised_ms: int
    parcels: tuple[str, ...] = ()

    def loads(self) -> list[dict[str, Any]]:
        """What is carried: the properties of each parcel, or of the one that needs no id."""
        return [{"parcel_id": parcel, "parcels": len(self.parcels)} for parcel in self.parcels] or [{}]


def split(story: Story) -> tuple[str, ...]:
    """The parcels of an order: most come in one, without an id."""
    if story.chance(0.92):
        return ()
    return tuple(story.stage.name("P") for _ in range(2 + story.chance(0.3)))


def fulfil(story: Story, order: Order) -> Telling:
    """Deliver an order that was promised by a time, one way or another."""
    _part_way(story, order.promised_ms, 0.1, 0.3)
    for number, load in enumerate(order.loads()):
        if number:
            story.wait_hours(0.2, 8)
        yield story.touch("dispatched", load, order_id=order.order_id)
    if story.chance(0.35):
        story.wait_hours(0.5, 3)
        yield story.touch("order_status_viewed", order_id=order.order_id)
    fate = story.rng.random()
    tell = next(tell for share, tell in _FATES if fate < share)
    yield from tell(story, order)


def _part_way(story: Story, until_ms: int, low: float, high: float) -> None:
    """Let that part of the time until then pass; none when it is over."""
    story.wait_until(story.at_ms + int((until_ms - story.at_ms) * (low + (high - low) * story.rng.random())))


def _on_time(story: Story, order: Order) -> Telling:
    _part_way(story, order.promised_ms, 0.3, 0.8)
    yield story.touch("out_for_delivery", order_id=order.order_id)
    _part_way(story, order.promised_ms, 0.3, 0.95)
    yield from _arrive(story, order)


def _arrive(story: Story, order: Order) -> Telling:
    for number, load in enumerate(order.loads()):
        if number:
            story.wait_hours(0.5, 30)
        yield story.touch("delivered", load, order_id=order.order_id)
    yield from _look_back(story, order.order_id)


def _delay(story: Story, order: Order, days: int) -> tuple[Step, Order]:
    later = order._replace(promised_ms=order.promised_ms + (1 + int(story.rng.random() * days)) * DAY_MS)
    properties = {"promised_by": format_moment(later.promised_ms)}
    return story.touch("delivery_delayed", properties, order_id=order.order_id), later


def _moved_with_notice(story: Story, order: Order) -> Telling:
    _part_way(story, order.promised_ms, 0.3, 0.9)
    delayed, later = _delay(story, order, 3)
    yield delayed
    if story.chance(0.15):
        story.wait(20, 900)
        yield story.touch("order_status_viewed", order_id=order.order_id)
    story.wait(20, 3600)
    yield story.touch("notification_sent", {"topic": "delay"}, order_id=order.order_id, channel="sms")
    yield from _on_time(story, later)


def _moved_silently(story: Story, order: Order) -> Telling:
    _part_way(story, order.promised_ms, 0.4, 0.95)
    delayed, later = _delay(story, order, 4)
    yield delayed
    story.branch(_wonder, order.order_id)
    if story.chance(0.2):
        story.wait_hours(4.5, 10)
        yield story.touch("notification_sent", {"topic": "delay"}, order_id=order.order_id, channel="sms")
    _part_way(story, later.promised_ms, 0.8, 0.99)
    yield from _arrive(story, later)


def _wonder(story: Story, order_id: str) -> Telling:
    """Look where the order is, again and again, and then ask."""
    for _ in range(1 + int(story.rng.random() * 3)):
        story.wait_hours(1, 12)
        yield story.touch("order_status_viewed", order_id=order_id)
    if story.chance(0.6):
        story.wait(30, 3600)
        yield from need_help(story, "delivery", order_id)


def _too_late(story: Story, order: Order) -> Telling:
    story.branch(_wonder_from, order.order_id, order.promised_ms - 6 * HOUR_MS)
    story.wait_until(order.promised_ms)
    story.wait_hours(0.5, 90)
    yield from _arrive(story, order)


def _never(story: Story, order: Order) -> Telling:
    story.branch(_wonder_from, order.order_id, order.promised_ms)
    story.wait_until(order.promised_ms)
    if story.chance(0.5):
        story.wait_hours(48, 200)
        yield story.touch("parcel_returned", order_id=order.order_id)


def _wonder_from(story: Story, order_id: str, from_ms: int) -> Telling:
    story.wait_until(from_ms)
    yield from _wonder(story, order_id)


def _failed(story: Story, order: Order) -> Telling:
    failures = 1 + story.chance(0.5)
    for _ in range(failures):
        _part_way(story, order.promised_ms, 0.3, 0.5)
        yield story.touch("out_for_delivery", order_id=order.order_id)
        _part_way(story, order.promised_ms, 0.1, 0.4)
        reason = FAILED_DELIVERIES[int(story.rng.random() * len(FAILED_DELIVERIES))]
        yield story.touch("delivery_failed", {"reason": reason}, order_id=order.order_id)
    if failures == 2:
        yield from need_help(story, "delivery", order.order_id)
    story.wait_hours(4, 40)
    yield from _arrive(story, order)


# Upper bounds of shares: nine deliveries of ten reach the customer by the time last promised.
_FATES: tuple[tuple[float, Callable[[Story, Order], Telling]], ...] = (
    (0.86, _on_time),
    (0.90, _moved_with_notice),
    (0.925, _moved_silently),
    (0.965, _too_late),
    (0.972, _never),
    (1.01, _failed),
)


def hand_over_at_store(story: Story, order_id: str, store_id: str) -> Telling:
    """An order that the customer fetches."""
    story.wait_hours(0.5, 6)
    yield story.touch("ready_for_pickup", order_id=order_id, store_id=store_id)
    story.wait(1, 60)
    yield story.touch("notification_sent", {"topic": "ready"}, order_id=order_id, channel="sms")
    if story.chance(0.04):
        story.wait(1, 30)
        yield story.touch("notification_failed", {"reason": "unreachable"}, order_id=order_id, channel="sms")
    story.wait_hours(1, 40)
    yield story.touch("picked_up", order_id=order_id, store_id=store_id)
    yield from _look_back(story, order_id)


def _look_back(story: Story, order_id: str) -> Telling:
    if story.chance(0.18):
        yield from give_feedback(story, order_id)
    if story.chance(0.09):
        yield from send_back(story, order_id)
