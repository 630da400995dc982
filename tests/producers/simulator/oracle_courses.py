"""The oracle of what follows, or does not: A and no B in time, A and then B."""

from collections.abc import Callable

from tests.producers.simulator.oracle_touches import DAY_MS, HOUR_MS, Found, Seen, at_ms, find, prop

Test = Callable[[Seen], bool]


def find_courses(touches: list[Seen]) -> list[Found]:
    """Silent delays, unheard feedback, checkout trouble, told before asked, no human, first contact resolution."""
    return [
        *_silent_delays(touches),
        *_unheard(touches),
        *_checkout_troubles(touches),
        *_told(touches),
        *_no_human(touches),
        *_first_contacts(touches),
    ]


def _after(touches: list[Seen], index: int, within_ms: int) -> list[Seen]:
    return [touch for touch in touches[index + 1 :] if at_ms(touch) <= at_ms(touches[index]) + within_ms]


def _is(touch: Seen, type_name: str, **properties: object) -> bool:
    return touch["type"] == type_name and all(prop(touch, name) == value for name, value in properties.items())


def _subject(touch: Seen) -> str:
    return str(touch.get("order_id") or f"{touch['source']}/{touch['event_id']}")


def _silent_delays(touches: list[Seen]) -> list[Found]:
    def tells(touch: Seen) -> bool:
        return touch["type"] in ("delivered", "picked_up") or _is(touch, "notification_sent", topic="delay")

    found: list[Found] = []
    for index, delayed in enumerate(touches):
        if delayed["type"] == "delivery_delayed":
            after = _after(touches, index, 4 * HOUR_MS)
            if not any(tells(touch) and touch.get("order_id") == delayed["order_id"] for touch in after):
                found.append(find(at_ms(delayed) + 4 * HOUR_MS + 1, "silent_delay", delayed, delayed["order_id"]))
    return found


def _unheard(touches: list[Seen]) -> list[Found]:
    def is_bad(touch: Seen) -> bool:
        if touch["type"] == "review_posted":
            return bool(prop(touch, "rating") <= 2)
        limits = {"csat": 2, "nps": 6}
        limit = limits.get(prop(touch, "metric"))
        return touch["type"] == "survey_answered" and limit is not None and bool(prop(touch, "score") <= limit)

    def hears(touch: Seen) -> bool:
        return touch["type"] in ("callback_made", "gift_given") or _is(touch, "contact_answered", by="human")

    return [
        find(at_ms(mark) + 2 * DAY_MS + 1, "unheard_feedback", mark, _subject(mark))
        for index, mark in enumerate(touches)
        if is_bad(mark) and not any(map(hears, _after(touches, index, 2 * DAY_MS)))
    ]


def _checkout_troubles(touches: list[Seen]) -> list[Found]:
    runs: list[list[Seen]] = []
    bought_since = True
    for touch in touches:
        if touch["type"] in ("order_placed", "purchased"):
            bought_since = True
        elif touch["type"] == "payment_failed":
            if bought_since or at_ms(touch) - at_ms(runs[-1][-1]) > HOUR_MS:
                runs.append([])
            runs[-1].append(touch)
            bought_since = False
    found: list[Found] = []
    for run in runs:
        if len(run) > 1:
            after = _after(touches, touches.index(run[1]), HOUR_MS // 2)
            if not any(touch["type"] in ("order_placed", "purchased") for touch in after):
                found.append(find(at_ms(run[1]) + HOUR_MS // 2 + 1, "checkout_trouble", run[0], _subject(run[0])))
    return found


def _replied(
    touches: list[Seen], rule: str, begins: Test, then: Test, without: Test, name: str, within_ms: int
) -> list[Found]:
    def about(touch: Seen) -> object:
        return touch.get(name) or prop(touch, name)

    found: list[Found] = []
    for index, began in enumerate(touches):
        if not begins(began) or not about(began):
            continue
        same = (touch for touch in _after(touches, index, within_ms) if about(touch) == about(began))
        first = next((touch for touch in same if then(touch) or without(touch)), None)
        if first is not None and then(first):
            found.append(find(at_ms(first), rule, began, str(about(began))))
    return found


def _told(touches: list[Seen]) -> list[Found]:
    return _replied(
        touches,
        "told_before_asked",
        lambda touch: touch["type"] == "delivery_delayed",
        lambda touch: _is(touch, "notification_sent", topic="delay"),
        lambda touch: touch["type"] in ("order_status_viewed", "contact_started"),
        "order_id",
        4 * HOUR_MS,
    )


def _no_human(touches: list[Seen]) -> list[Found]:
    return _replied(
        touches,
        "no_human",
        lambda touch: _is(touch, "contact_answered", by="bot"),
        lambda touch: touch["type"] == "contact_abandoned" or _is(touch, "contact_ended", resolved=False),
        lambda touch: _is(touch, "contact_answered", by="human"),
        "contact_id",
        DAY_MS,
    )


def _first_contacts(touches: list[Seen]) -> list[Found]:
    found: list[Found] = []
    for index, started in enumerate(touches):
        if started["type"] != "contact_started":
            continue
        contact_id = prop(started, "contact_id")
        is_solved = any(
            _is(touch, "contact_ended", contact_id=contact_id, resolved=True)
            for touch in _after(touches, index, 2 * DAY_MS)
        )
        if is_solved and not any(_crowds(other, started) for other in touches):
            found.append(find(at_ms(started) + 7 * DAY_MS + 1, "first_contact_resolution", started, contact_id))
    return found


def _crowds(other: Seen, started: Seen) -> bool:
    if other["type"] != "contact_started" or prop(other, "contact_id") == prop(started, "contact_id"):
        return False
    same_order = started.get("order_id") is not None and other.get("order_id") == started["order_id"]
    same_topic = prop(started, "topic") is not None and prop(other, "topic") == prop(started, "topic")
    return (same_order or same_topic) and abs(at_ms(other) - at_ms(started)) <= 7 * DAY_MS
