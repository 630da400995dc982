"""The three exact rules, computed the slow and obvious way over a whole list of touchpoints."""

from collections import defaultdict
from typing import Any

from schemas.moments import check_moment, to_epoch_ms
from tests.producers.simulator.lives import occurred_ms

MINUTE_MS, DAY_MS = 60_000, 86_400_000
Found = tuple[int, str, str, str]
"""When it became true, rule, customer, subject."""


def find_frictions(touchpoints: list[dict[str, Any]], end_ms: int) -> list[Found]:
    return sorted(
        [
            *_long_queues(touchpoints, end_ms),
            *_unanswered_contacts(touchpoints, end_ms),
            *_repeats(touchpoints, "order"),
            *_repeats(touchpoints, "topic"),
            *_broken_promises(touchpoints, end_ms),
        ]
    )


def _customer(touchpoint: dict[str, Any]) -> str:
    return str(touchpoint["identifiers"].get("customer_id"))


def _long_queues(touchpoints: list[dict[str, Any]], end_ms: int) -> list[Found]:
    def place(queued: dict[str, Any]) -> tuple[str, str | None, str]:
        return _customer(queued), queued.get("store_id"), queued["properties"]["queue"]

    found = []
    for index, joined in enumerate(touchpoints):
        if joined["type"] == "queue_joined":
            later = [t for t in touchpoints[index:] if t["type"] == "service_started" and place(t) == place(joined)]
            served_ms = occurred_ms(later[0]) if later else end_ms
            due_ms = occurred_ms(joined) + 10 * MINUTE_MS
            if served_ms > due_ms:
                found.append((due_ms, "long_wait", _customer(joined), joined["event_id"]))
    return found


def _unanswered_contacts(touchpoints: list[dict[str, Any]], end_ms: int) -> list[Found]:
    ends = {"contact_answered", "contact_abandoned", "contact_ended"}
    found = []
    for index, started in enumerate(touchpoints):
        limit_ms = {"phone": 3 * MINUTE_MS, "chat": MINUTE_MS}.get(started.get("channel", ""))
        if started["type"] == "contact_started" and limit_ms is not None:
            contact_id = started["properties"]["contact_id"]
            later = [
                t for t in touchpoints[index:] if t["type"] in ends and t["properties"]["contact_id"] == contact_id
            ]
            ended_ms = occurred_ms(later[0]) if later else end_ms
            if ended_ms > occurred_ms(started) + limit_ms:
                found.append((occurred_ms(started) + limit_ms, "long_wait", _customer(started), contact_id))
    return found


def _repeats(touchpoints: list[dict[str, Any]], kind: str) -> list[Found]:
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for touchpoint in touchpoints:
        if touchpoint["type"] == "contact_started":
            subject = touchpoint.get("order_id") if kind == "order" else touchpoint["properties"].get("topic")
            if subject:
                groups[_customer(touchpoint), subject].append(occurred_ms(touchpoint))
    found = []
    for (customer, subject), times in groups.items():
        near = [later - earlier <= 7 * DAY_MS for earlier, later in zip(times, times[1:], strict=False)]
        for index, is_near in enumerate(near):
            if is_near and not (index and near[index - 1]):
                found.append((times[index + 1], "repeat_contact", customer, subject))
    return found


def _broken_promises(touchpoints: list[dict[str, Any]], end_ms: int) -> list[Found]:
    orders: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for touchpoint in touchpoints:
        if touchpoint.get("order_id"):
            orders[_customer(touchpoint), touchpoint["order_id"]].append(touchpoint)
    found = []
    for (customer, order_id), story in orders.items():
        broken_ms = _broken_ms(story, end_ms)
        if broken_ms is not None:
            found.append((broken_ms, "broken_promise", customer, order_id))
    return found


def _broken_ms(story: list[dict[str, Any]], end_ms: int) -> int | None:
    promised_ms: int | None = None
    for touchpoint in story:
        if promised_ms is not None and occurred_ms(touchpoint) > promised_ms:
            return promised_ms
        if touchpoint["type"] in ("delivered", "picked_up"):
            if promised_ms is not None:
                return None
        elif "promised_by" in touchpoint["properties"]:
            promised_ms = to_epoch_ms(check_moment(touchpoint["properties"]["promised_by"]))
    return promised_ms if promised_ms is not None and promised_ms < end_ms else None
