"""The oracle of promises: one subject's touchpoints cut into promises, and each judged by itself."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.producers.simulator.oracle_touches import DAY_MS, Found, Seen, at_ms, find, moment, place, prop

FOREVER = 2**62
OPENS = {
    "order_placed": ("delivery", "promised_by"),
    "delivery_promised": ("delivery", "promised_by"),
    "callback_promised": ("callback", "due_at"),
    "refund_promised": ("refund", "due_at"),
    "hold_created": ("hold", "expires_at"),
    "complaint_opened": ("complaint", ""),
}
ENDS = {
    "delivered": "delivery",
    "picked_up": "delivery",
    "parcel_returned": "delivery",
    "returned": "delivery",
    "callback_made": "callback",
    "refund_issued": "refund",
    "hold_collected": "hold",
    "hold_expired": "hold",
    "complaint_resolved": "complaint",
}
BROKEN = {
    "delivery": "broken_promise",
    "callback": "missed_callback",
    "refund": "late_refund",
    "complaint": "unresolved_complaint",
    "restock": "restock_silence",
}


@dataclass
class Owed:
    """One promise. `times`: (said, promised for)."""

    kind: str
    subject: str
    opening: Seen
    times: list[tuple[int, int]]
    between: list[Seen] = field(default_factory=list)
    ending: Seen | None = None

    @property
    def ended_ms(self) -> int:
        return at_ms(self.ending) if self.ending else FOREVER

    def broken_ms(self) -> int:
        """When its time first passed while it was owed."""
        untils = [said for said, _ in self.times[1:]] + [FOREVER]
        passed = (
            max(due + 1, said)
            for (said, due), until in zip(self.times, untils, strict=False)
            if due < min(until, self.ended_ms)
        )
        return next(passed, FOREVER)


def find_promises(touches: list[Seen], facts: list[dict[str, Any]], end_ms: int) -> list[Found]:
    """What became of all that was owed to one customer."""
    found: list[Found] = []
    for owed in [*_promises(touches), *_wishes(touches, facts)]:
        if owed.kind == "hold":
            found += _lapsed(owed, touches)
        elif owed.broken_ms() <= end_ms:
            found.append(find(owed.broken_ms(), BROKEN[owed.kind], owed.opening, owed.subject))
        if owed.kind == "delivery" and owed.ending and owed.ending["type"] in ("delivered", "picked_up"):
            found += _kept(owed)
    return found


def _subject(touch: Seen, kind: str) -> str:
    names = {
        "delivery": "order_id",
        "callback": "contact_id",
        "refund": "order_id",
        "hold": "sku",
        "complaint": "case_id",
    }
    return str(touch.get(names[kind]) or prop(touch, names[kind]))


def _promises(touches: list[Seen]) -> Iterator[Owed]:
    open_now: dict[tuple[str, str], Owed] = {}
    for touch in touches:
        kind, name = OPENS.get(touch["type"], (ENDS.get(touch["type"], "delivery"), "promised_by"))
        key = kind, _subject(touch, kind)
        owed = open_now.get(key)
        if touch["type"] in ENDS:
            if owed is not None and _is_all(owed, touch):
                owed.ending = touch
                yield open_now.pop(key)
            elif owed is not None:
                owed.between.append(touch)
            continue
        due_ms = at_ms(touch) + 2 * DAY_MS if kind == "complaint" else moment(touch, name)
        if owed is not None and kind == "hold" and owed.times[-1][1] < at_ms(touch):
            yield open_now.pop(key)
            owed = None
        if owed is not None:
            owed.between.append(touch)
            owed.times += [(at_ms(touch), due_ms)] if due_ms is not None else []
        elif touch["type"] in OPENS and due_ms is not None:
            open_now[key] = Owed(*key, touch, [(at_ms(touch), due_ms)])
    yield from open_now.values()


def _is_all(owed: Owed, touch: Seen) -> bool:
    """Whether nothing of an order is missing any more."""
    if touch["type"] != "delivered" or prop(touch, "parcel_id") is None:
        return True
    seen = [owed.opening, *owed.between, touch]
    telling = ("order_placed", "delivery_promised", "dispatched", "delivered")
    parcels = max(prop(each, "parcels") or 0 for each in seen if each["type"] in telling)
    return len({prop(each, "parcel_id") for each in seen if each["type"] == "delivered"}) >= parcels


def _kept(owed: Owed) -> Iterator[Found]:
    trouble = [touch for touch in owed.between if touch["type"] in ("delivery_delayed", "delivery_failed")]
    spare_ms = owed.times[-1][1] - owed.ended_ms
    if spare_ms >= DAY_MS:
        yield find(owed.ended_ms, "early_delivery", owed.opening, owed.subject)
    if trouble and spare_ms >= 0:
        yield find(owed.ended_ms, "kept_after_trouble", owed.opening, owed.subject)


def _lapsed(owed: Owed, touches: list[Seen]) -> Iterator[Found]:
    expired_ms = owed.ended_ms if owed.ending and owed.ending["type"] == "hold_expired" else FOREVER
    lapsed_ms, by_time = min(owed.broken_ms(), expired_ms), owed.broken_ms() <= expired_ms
    requested, ending = touches.index(owed.opening), touches.index(owed.ending) if owed.ending else len(touches)
    reminders = [
        touch
        for touch in touches[requested:ending]
        if touch["type"] == "notification_sent" and prop(touch, "topic") == "hold"
        if prop(touch, "sku") in (None, owed.subject) and (at_ms(touch) < lapsed_ms or not by_time)
    ]
    if lapsed_ms < FOREVER and not reminders:
        yield find(lapsed_ms, "hold_lost", owed.opening, owed.subject)


def _wishes(touches: list[Seen], facts: list[dict[str, Any]]) -> Iterator[Owed]:
    waiting: dict[str, Owed] = {}
    for touch in touches:
        sku, where = prop(touch, "sku"), place(touch)
        if touch["type"] == "back_in_stock_requested":
            subject = f"{sku}@{where}" if where else sku
            waiting.setdefault(subject, Owed("restock", subject, touch, []))
        elif touch["type"] == "notification_sent" and prop(touch, "topic") == "restock":
            named = [subject for subject in waiting if subject.split("@")[0] == sku]
            if named:
                told = waiting.pop(sku if sku in named else named[0])
                told.ending = touch
                yield _answered(told, facts)
    for owed in waiting.values():
        yield _answered(owed, facts)


def _answered(owed: Owed, facts: list[dict[str, Any]]) -> Owed:
    """The wish with the time that a restock gave it."""
    sku, _, where = owed.subject.partition("@")
    for index, fact in enumerate(facts):
        is_same = prop(fact, "sku") == sku and (not where or prop(fact, "store_id") in (None, where))
        if is_same and at_ms(owed.opening) < at_ms(fact) <= owed.ended_ms and _is_restock(facts, index):
            owed.times = [(at_ms(fact), at_ms(fact) + DAY_MS)]
            break
    return owed


def _is_restock(facts: list[dict[str, Any]], index: int) -> bool:
    fact = facts[index]
    if fact["type"] == "restocked":
        return True
    if fact["type"] != "stock_level" or prop(fact, "quantity") <= 0:
        return False
    key = prop(fact, "sku"), prop(fact, "store_id")
    before = [
        prop(other, "quantity")
        for other in facts[:index]
        if other["type"] == "stock_level" and (prop(other, "sku"), prop(other, "store_id")) == key
    ]
    return before[-1:] == [0]
