"""What is owed by a time: the rules about promises.

`broken_promise`, `missed_callback`, `late_refund`, `unresolved_complaint`, `restock_silence`, `hold_lost`,
`early_delivery`, `kept_after_trouble`.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

from producers.simulator.hours import DAY_MS, HOUR_MS
from producers.simulator.truth.chronicle import Chronicle
from producers.simulator.truth.friction import SubjectKind
from producers.simulator.truth.touch import Touch

CASE_MS = 48 * HOUR_MS
TELL_MS = DAY_MS
_EARLY_MS = DAY_MS

Owed = Literal["delivery", "callback", "refund", "hold", "complaint", "restock"]
_BROKEN: dict[Owed, tuple[str, SubjectKind]] = {
    "delivery": ("broken_promise", "order"),
    "callback": ("missed_callback", "contact"),
    "refund": ("late_refund", "order"),
    "hold": ("hold_lost", "sku"),
    "complaint": ("unresolved_complaint", "case"),
    "restock": ("restock_silence", "sku"),
}


class _Promise:
    __slots__ = ("opening", "due_ms", "is_over", "is_broken", "has_trouble", "is_reminded", "parcels", "arrived")

    def __init__(self, opening: Touch) -> None:
        self.opening = opening
        self.due_ms: int | None = None
        self.is_over = False
        self.is_broken = False
        self.has_trouble = False
        self.is_reminded = False
        self.parcels = 0
        self.arrived: set[str] = set()


class Promises:
    """All that is owed to anybody. Each promise is remembered until it is kept or taken back, also when it is broken.

    Of one kind, one promise is owed on one subject at a time: to promise again is to move it.
    """

    def __init__(self, chronicle: Chronicle) -> None:
        self._chronicle = chronicle
        self._owed: dict[tuple[Owed, str], dict[str, _Promise]] = {}
        self._wishes: dict[str, dict[tuple[str, str], _Promise]] = {}
        self._levels: dict[tuple[str, str], int] = {}

    def promise_delivery(self, touch: Touch) -> None:
        """An order is placed or a delivery promised, perhaps by a time."""
        due_ms = touch.moment("promised_by")
        if due_ms is not None:
            _learn_parcels(self._promise("delivery", _order(touch), touch, due_ms), touch)

    def delay(self, touch: Touch) -> None:
        """What is owed is moved, which is trouble."""
        due_ms = touch.moment("promised_by")
        if due_ms is not None and self._find("delivery", _order(touch), touch) is not None:
            self._promise("delivery", _order(touch), touch, due_ms)
        self.fail(touch)

    def fail(self, touch: Touch) -> None:
        """Something went wrong with a delivery that is owed."""
        promise = self._find("delivery", _order(touch), touch)
        if promise is not None:
            promise.has_trouble = True

    def dispatch(self, touch: Touch) -> None:
        """A parcel is on its way, and says how many there are."""
        promise = self._find("delivery", _order(touch), touch)
        if promise is not None:
            _learn_parcels(promise, touch)

    def deliver(self, touch: Touch) -> None:
        """A parcel arrives; the promise is kept when it was the last."""
        promise, parcel_id = self._find("delivery", _order(touch), touch), touch.text("parcel_id")
        if promise is not None and parcel_id:
            _learn_parcels(promise, touch)
            promise.arrived.add(parcel_id)
            if len(promise.arrived) < promise.parcels:
                return
        self.hand_over(touch)

    def hand_over(self, touch: Touch) -> None:
        """The customer has all of the order."""
        promise = self._settle("delivery", _order(touch), touch)
        if promise is None or promise.due_ms is None:
            return
        if touch.at_ms <= promise.due_ms - _EARLY_MS:
            self._chronicle.record(touch.at_ms, "early_delivery", "order", _order(touch), promise.opening, touch)
        if promise.has_trouble and touch.at_ms <= promise.due_ms:
            self._chronicle.record(touch.at_ms, "kept_after_trouble", "order", _order(touch), promise.opening, touch)

    def take_back(self, touch: Touch) -> None:
        """The goods go back: nothing is owed any more."""
        self._settle("delivery", _order(touch), touch)

    def promise_callback(self, touch: Touch) -> None:
        """Somebody is to be called by a time."""
        self._promise_by("due_at", "callback", touch.text("contact_id"), touch)

    def call_back(self, touch: Touch) -> None:
        """That call is made."""
        self._settle("callback", touch.text("contact_id"), touch)

    def promise_refund(self, touch: Touch) -> None:
        """Money is to be paid back by a time."""
        self._promise_by("due_at", "refund", _order(touch), touch)

    def refund(self, touch: Touch) -> None:
        """It is paid."""
        self._settle("refund", _order(touch), touch)

    def complain(self, touch: Touch) -> None:
        """A complaint is to be settled within two days."""
        self._promise("complaint", touch.case_id or _order(touch), touch, touch.at_ms + CASE_MS)

    def settle_complaint(self, touch: Touch) -> None:
        """It is settled."""
        self._settle("complaint", touch.case_id or _order(touch), touch)

    def hold(self, touch: Touch) -> None:
        """A product is held until a time; what ran out before is another hold."""
        former = self._find("hold", touch.text("sku"), touch)
        if former is not None and former.due_ms is not None and former.due_ms < touch.at_ms:
            self._settle("hold", touch.text("sku"), touch)
        self._promise_by("expires_at", "hold", touch.text("sku"), touch)

    def collect_hold(self, touch: Touch) -> None:
        """It is fetched."""
        self._settle("hold", touch.text("sku"), touch)

    def expire_hold(self, touch: Touch) -> None:
        """It runs out, perhaps before its time."""
        promise = self._settle("hold", touch.text("sku"), touch)
        if promise is not None:
            self._break("hold", touch.text("sku"), promise, touch.at_ms)

    def remind(self, touch: Touch) -> None:
        """A message about what is held: about one product, or about all."""
        sku = touch.text("sku")
        for held, promise in self._owed.get(("hold", touch.customer), {}).items():
            promise.is_reminded = promise.is_reminded or sku in ("", held)

    def wish(self, touch: Touch) -> None:
        """Somebody asks to be told when a product is back, in one store or anywhere."""
        sku, place = touch.text("sku"), touch.place
        subject = f"{sku}@{place}" if place else sku
        if self._find("restock", subject, touch) is None:
            promise = self._owed.setdefault(("restock", touch.customer), {})[subject] = _Promise(touch)
            self._wishes.setdefault(sku, {})[touch.customer, subject] = promise

    def tell_restock(self, touch: Touch) -> None:
        """Somebody tells. That answers the wish that names no store, else the oldest one for the product."""
        sku = touch.text("sku")
        wished = self._owed.get(("restock", touch.customer), {})
        subject = next((each for each in (sku, *wished) if each in wished and each.partition("@")[0] == sku), None)
        if subject is not None:
            self._settle("restock", subject, touch)
            del self._wishes[sku][touch.customer, subject]

    def level(self, at_ms: int, fact: dict[str, Any]) -> None:
        """A store says how many it has: some after none is a restock."""
        properties = fact["properties"]
        key = properties["sku"], properties["store_id"]
        before, self._levels[key] = self._levels.get(key), properties["quantity"]
        if before == 0 and properties["quantity"] > 0:
            self.restock(at_ms, fact)

    def restock(self, at_ms: int, fact: dict[str, Any]) -> None:
        """A product is back, in one store or everywhere: from now on those who asked are to be told."""
        sku, place = fact["properties"]["sku"], fact["properties"].get("store_id")
        for (_, subject), promise in self._wishes.get(sku, {}).items():
            if promise.due_ms is None and (place is None or subject in (sku, f"{sku}@{place}")):
                self._expect("restock", subject, promise, at_ms, at_ms + TELL_MS)

    def _find(self, owed: Owed, subject: str, touch: Touch) -> _Promise | None:
        return self._owed.get((owed, touch.customer), {}).get(subject)

    def _promise_by(self, name: str, owed: Owed, subject: str, touch: Touch) -> None:
        due_ms = touch.moment(name)
        if due_ms is not None:
            self._promise(owed, subject, touch, due_ms)

    def _promise(self, owed: Owed, subject: str, touch: Touch, due_ms: int) -> _Promise:
        promise = self._owed.setdefault((owed, touch.customer), {}).setdefault(subject, _Promise(touch))
        self._expect(owed, subject, promise, touch.at_ms, due_ms)
        return promise

    def _expect(self, owed: Owed, subject: str, promise: _Promise, now_ms: int, due_ms: int) -> None:
        promise.due_ms = due_ms
        if due_ms < now_ms:
            self._break(owed, subject, promise, now_ms)
        else:
            self._chronicle.at(due_ms + 1, partial(self._pass, owed, subject, promise, due_ms))

    def _pass(self, owed: Owed, subject: str, promise: _Promise, due_ms: int) -> None:
        if not promise.is_over and promise.due_ms == due_ms:
            self._break(owed, subject, promise, due_ms + 1)

    def _break(self, owed: Owed, subject: str, promise: _Promise, at_ms: int) -> None:
        if not (promise.is_broken or promise.is_reminded):
            rule, kind = _BROKEN[owed]
            self._chronicle.record(at_ms, rule, kind, subject, promise.opening)
        promise.is_broken = True

    def _settle(self, owed: Owed, subject: str, touch: Touch) -> _Promise | None:
        mine = self._owed.get((owed, touch.customer), {})
        promise = mine.pop(subject, None)
        if promise is not None:
            promise.is_over = True
            if not mine:
                del self._owed[owed, touch.customer]
        return promise


def _order(touch: Touch) -> str:
    return touch.order_id or ""


def _learn_parcels(promise: _Promise, touch: Touch) -> None:
    promise.parcels = max(promise.parcels, touch.properties.get("parcels") or 0)
