"""A shop for showing: days of history up to now, then life in real time with frictions that arise while one looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

from producers.simulator.assortment import pick_agent
from producers.simulator.hours import DAY_MS, HOUR_MS, MINUTE_MS
from producers.simulator.shop import Script, Shop, Surge
from producers.simulator.story import Story, Telling, format_moment
from producers.simulator.truth.waits import CONTACT_THRESHOLDS_MS, QUEUE_THRESHOLD_MS
from schemas.moments import check_moment, to_epoch_ms

DEFAULT_CUSTOMERS = 4_000
_HISTORY = timedelta(days=3)
_HISTORY_STORIES_PER_DAY = 500.0
_SURGE_BEFORE_MS = 15 * MINUTE_MS
_STORIES_PER_SECOND = 1.5
_SCRIPTED_MINUTES = 10
_RELIEF_MS = 14_000


class Demo(NamedTuple):
    """What happened until `now`, in order, and what happens from then on: `(seconds_from_now, touchpoint)`, endless."""

    history: list[dict[str, Any]]
    live: Iterator[tuple[float, dict[str, Any]]]


def make_demo(seed: int, now: datetime, customers: int = DEFAULT_CUSTOMERS) -> Demo:
    """A demo in whose first ten minutes the rules of waiting, repeating and promising each fire several times a minute.

    Send `history` at once and then each live touchpoint at its time. In each minute from `now`, several waits that
    began long before cross their threshold, several promised times pass, and several customers ask a second time; about
    half of these are resolved some seconds later, the others by nobody. Deterministic in its arguments.
    """
    now_ms = to_epoch_ms(now)
    shop = Shop(
        seed,
        now - _HISTORY,
        customers,
        known_at_start=customers,
        stories_per_day=_HISTORY_STORIES_PER_DAY,
        always_open=True,
        surge=Surge(now_ms - _SURGE_BEFORE_MS, _STORIES_PER_SECOND),
        script=write_script(now_ms, customers),
    )
    return _split(shop.touchpoints(), now_ms)


def _split(touchpoints: Iterator[dict[str, Any]], now_ms: int) -> Demo:
    history: list[dict[str, Any]] = []
    for touchpoint in touchpoints:
        if _occurred_ms(touchpoint) >= now_ms:
            following = chain((touchpoint,), touchpoints)
            return Demo(history, (((_occurred_ms(live) - now_ms) / 1000, live) for live in following))
        history.append(touchpoint)
    raise AssertionError("a shop without an end came to one")


def _occurred_ms(touchpoint: dict[str, Any]) -> int:
    return to_epoch_ms(check_moment(touchpoint["occurred_at"]))


def write_script(now_ms: int, first_customer: int) -> list[Script]:
    """The stories that must happen, each of a customer of its own, numbered from `first_customer`."""
    script: list[Script] = []
    for minute in range(_SCRIPTED_MINUTES):
        for lead_ms, tell, second in _MINUTE:
            turn_ms = now_ms + minute * MINUTE_MS + second * 1000
            number = first_customer + len(script)
            script.append((turn_ms - lead_ms, partial(tell, turn_ms), number))
    return script


def _queue(turn_ms: int, story: Story, relief: bool) -> Telling:
    store_id = story.persona.home_store
    yield story.touch("visit_started", store_id=store_id)
    story.wait_until(turn_ms - QUEUE_THRESHOLD_MS)
    yield story.touch("queue_joined", {"queue": "till"}, store_id=store_id)
    if relief:
        story.wait_until(turn_ms + _RELIEF_MS)
        yield story.touch("service_started", {"queue": "till"}, store_id=store_id, agent_id=pick_agent(story.rng))


def _ring(turn_ms: int, story: Story, channel: str, relief: bool) -> Telling:
    contact_id = story.stage.name("K")
    yield story.touch("order_status_viewed")
    story.wait_until(turn_ms - CONTACT_THRESHOLDS_MS[channel])
    yield story.touch("contact_started", {"contact_id": contact_id, "topic": "billing"}, channel=channel)
    if relief:
        story.wait_until(turn_ms + _RELIEF_MS)
        yield story.touch("contact_answered", {"contact_id": contact_id, "by": "human"}, channel=channel)
        story.wait(20, 60)
        yield story.touch("contact_ended", {"contact_id": contact_id, "resolved": True}, channel=channel)


def _promised(turn_ms: int, story: Story, relief: bool) -> Telling:
    order_id = story.stage.name("O")
    properties = {"amount": 249.9, "currency": "ILS", "promised_by": format_moment(turn_ms)}
    yield story.touch("order_placed", properties, order_id=order_id)
    story.wait_hours(3, 8)
    yield story.touch("dispatched", order_id=order_id)
    story.wait_until(turn_ms - 3 * HOUR_MS)
    yield story.touch("out_for_delivery", order_id=order_id)
    if relief:
        story.wait_until(turn_ms + _RELIEF_MS)
        yield story.touch("delivered", order_id=order_id)


def _again(turn_ms: int, story: Story, relief: bool) -> Telling:
    order_id = story.stage.name("O")
    yield story.touch("order_placed", {"amount": 89.9, "currency": "ILS"}, order_id=order_id)
    story.wait_hours(2, 4)
    yield from _ask(story, order_id, resolved=False)
    story.wait_until(turn_ms)
    yield from _ask(story, order_id, resolved=relief)


def _ask(story: Story, order_id: str, resolved: bool) -> Telling:
    contact_id = story.stage.name("K")
    properties = {"contact_id": contact_id, "topic": "delivery"}
    yield story.touch("contact_started", properties, order_id=order_id, channel="phone")
    story.wait(3, 6)
    answer = {"contact_id": contact_id, "by": "human"}
    yield story.touch("contact_answered", answer, order_id=order_id, channel="phone", agent_id=pick_agent(story.rng))
    story.wait(6, 10)
    end = {"contact_id": contact_id, "resolved": resolved}
    yield story.touch("contact_ended", end, order_id=order_id, channel="phone")


_ScriptedTelling = Callable[[int, Story], Telling]


def _minute() -> tuple[tuple[int, _ScriptedTelling, int], ...]:
    """What each minute brings: how long before its turn the story begins, what it tells, and the second of its turn."""
    queue_ms, ring_ms, promise_ms, ask_ms = 14 * MINUTE_MS, 4 * MINUTE_MS, 2 * DAY_MS, 1 * DAY_MS
    return (
        (queue_ms, partial(_queue, relief=True), 6),
        (ask_ms, partial(_again, relief=True), 9),
        (promise_ms, partial(_promised, relief=True), 12),
        (ring_ms, partial(_ring, channel="phone", relief=True), 15),
        (queue_ms, partial(_queue, relief=False), 19),
        (ring_ms, partial(_ring, channel="chat", relief=True), 22),
        (promise_ms, partial(_promised, relief=False), 25),
        (ask_ms, partial(_again, relief=False), 29),
        (queue_ms, partial(_queue, relief=True), 33),
        (ring_ms, partial(_ring, channel="phone", relief=False), 37),
        (promise_ms, partial(_promised, relief=True), 40),
        (ask_ms, partial(_again, relief=True), 44),
        (ring_ms, partial(_ring, channel="chat", relief=False), 48),
        (promise_ms, partial(_promised, relief=False), 52),
    )


_MINUTE = _minute()
