"""What becomes of the promise to deliver: kept, moved, moved silently, or broken."""

from __future__ import annotations

from collections.abc import Callable

from producers.simulator.assortment import FAILED_DELIVERIES
from producers.simulator.contacting import need_help
from producers.simulator.hours import DAY_MS, HOUR_MS
from producers.simulator.praising import give_feedback
from producers.simulator.story import Step, Story, Telling, format_moment
from producers.simulator.visiting import send_back

_TELL_WITHIN_MS = 4 * HOUR_MS


def fulfil(story: Story, order_id: str, promised_ms: int) -> Telling:
    """Deliver an order that was promised by that time, one way or another."""
    story.wait_until(story.at_ms + int((promised_ms - story.at_ms) * (0.1 + 0.2 * story.rng.random())))
    yield story.touch("dispatched", order_id=order_id)
    if story.chance(0.35):
        story.wait_hours(0.5, 3)
        yield story.touch("order_status_viewed", order_id=order_id)
    fate = story.rng.random()
    tell = next(tell for share, tell in _FATES if fate < share)
    yield from tell(story, order_id, promised_ms)


def _part_way(story: Story, until_ms: int, low: float, high: float) -> None:
    """Let that part of the time until then pass; none when it is over."""
    story.wait_until(story.at_ms + int((until_ms - story.at_ms) * (low + (high - low) * story.rng.random())))


def _on_time(story: Story, order_id: str, promised_ms: int) -> Telling:
    _part_way(story, promised_ms, 0.3, 0.8)
    yield story.touch("out_for_delivery", order_id=order_id)
    _part_way(story, promised_ms, 0.3, 0.95)
    yield from _arrive(story, order_id, promised_ms)


def _arrive(story: Story, order_id: str, promised_ms: int) -> Telling:
    delivered = story.touch("delivered", order_id=order_id)
    yield delivered
    if story.at_ms <= promised_ms - DAY_MS:
        yield story.planted("early_delivery", "order", order_id, delivered)
    yield from _after_delivery(story, order_id)


def _after_delivery(story: Story, order_id: str) -> Telling:
    if story.chance(0.18):
        yield from give_feedback(story, order_id)
    if story.chance(0.09):
        yield from send_back(story, order_id)


def _moved_with_notice(story: Story, order_id: str, promised_ms: int) -> Telling:
    _part_way(story, promised_ms, 0.3, 0.9)
    later_ms = promised_ms + (1 + int(story.rng.random() * 3)) * DAY_MS
    yield story.touch("delivery_delayed", {"promised_by": format_moment(later_ms)}, order_id=order_id)
    story.wait(20, 3600)
    told = story.touch("notification_sent", {"topic": "delay"}, order_id=order_id, channel="sms")
    yield told
    yield story.planted("told_before_asked", "order", order_id, told)
    yield from _on_time(story, order_id, later_ms)


def _moved_silently(story: Story, order_id: str, promised_ms: int) -> Telling:
    _part_way(story, promised_ms, 0.4, 0.95)
    later_ms = promised_ms + (1 + int(story.rng.random() * 4)) * DAY_MS
    delayed = story.touch("delivery_delayed", {"promised_by": format_moment(later_ms)}, order_id=order_id)
    yield delayed
    story.foresee(story.at_ms + _TELL_WITHIN_MS, "silent_delay", "order", order_id, delayed)
    story.branch(_wonder, order_id)
    _part_way(story, later_ms, 0.8, 0.99)
    yield from _arrive(story, order_id, later_ms)


def _wonder(story: Story, order_id: str) -> Telling:
    """Look where the order is, again and again, and then ask."""
    looks: list[Step] = []
    for _ in range(1 + int(story.rng.random() * 3)):
        story.wait_hours(1, 12)
        looks.append(story.touch("order_status_viewed", order_id=order_id))
        yield looks[-1]
        if len(looks) == 2:
            yield story.planted("wismo", "order", order_id, *looks)
    if story.chance(0.6):
        story.wait(30, 3600)
        yield from need_help(story, "delivery", order_id)


def _too_late(story: Story, order_id: str, promised_ms: int) -> Telling:
    story.branch(_wonder_from, order_id, promised_ms - 6 * HOUR_MS)
    story.wait_until(promised_ms)
    story.wait_hours(0.5, 90)
    yield story.touch("delivered", order_id=order_id)
    yield from _after_delivery(story, order_id)


def _never(story: Story, order_id: str, promised_ms: int) -> Telling:
    story.branch(_wonder_from, order_id, promised_ms)
    story.wait_until(promised_ms)
    if story.chance(0.5):
        story.wait_hours(48, 200)
        yield story.touch("parcel_returned", order_id=order_id)


def _wonder_from(story: Story, order_id: str, from_ms: int) -> Telling:
    story.wait_until(from_ms)
    yield from _wonder(story, order_id)


def _failed(story: Story, order_id: str, promised_ms: int) -> Telling:
    failures: list[Step] = []
    for _ in range(1 + story.chance(0.5)):
        _part_way(story, promised_ms, 0.3, 0.5)
        yield story.touch("out_for_delivery", order_id=order_id)
        _part_way(story, promised_ms, 0.1, 0.4)
        reason = FAILED_DELIVERIES[int(story.rng.random() * len(FAILED_DELIVERIES))]
        failures.append(story.touch("delivery_failed", {"reason": reason}, order_id=order_id))
        yield failures[-1]
    if len(failures) == 2:
        yield story.planted("failed_deliveries", "order", order_id, *failures)
        yield from need_help(story, "delivery", order_id)
    story.wait_hours(4, 40)
    yield from _arrive(story, order_id, promised_ms)


# Upper bounds of shares: nine deliveries of ten reach the customer by the time last promised.
_FATES: tuple[tuple[float, Callable[[Story, str, int], Telling]], ...] = (
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
    yield from _after_delivery(story, order_id)
