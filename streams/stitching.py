"""Stitching: a customer's touches, in order, into journeys. Pure; one touch at a time, so that appending is cheap.

A new journey starts at a touch whose distance to the previous one is more than `gap` while no promise of the journey is
owed, or more than `max_gap` regardless. "Owed" means neither fulfilled nor withdrawn: a broken promise still is.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from schemas.catalogue import BY_NAME, SOURCES, STAGES, UNKNOWN_STAGE
from streams.promises import FOREVER_MS, Promise, PromiseBook
from streams.touch import DETAILS, Touch, derive_id

Outcome = Literal["converted", "abandoned", "resolved", "unresolved", "returned", "browsing"]
MAX_PATH = 200
NO_WAIT_MS = -1

_SOURCE_INDEX: dict[str, int] = {source: index for index, source in enumerate(SOURCES)}
_STAGE_INDEX = {entry.name: STAGES.index(entry.stage) for entry in BY_NAME.values()}
_UNKNOWN_STAGE_INDEX = STAGES.index(UNKNOWN_STAGE)
_ORDER_TYPES = frozenset({"order_placed", "purchased"})
_BASKET_TYPES = frozenset({"cart_updated", "checkout_started", "payment_failed"})
_RETURN_TYPES = frozenset({"returned", "parcel_returned"})
_CONTACT_ENDS = frozenset({"contact_answered", "contact_abandoned", "contact_ended"})
_NOTABLE = _ORDER_TYPES | _BASKET_TYPES | _RETURN_TYPES | DETAILS.keys()


@dataclass(frozen=True)
class StitchingRules:
    """The boundaries of a journey, in milliseconds."""

    gap_ms: int
    max_gap_ms: int
    lateness_ms: int
    hold_open: bool = True


class Journey:
    """One journey as far as it is known. `closes_ms`: it is closed once partition time is past this."""

    __slots__ = (
        "first", "last", "count", "sources", "stages", "channels", "path", "contacts", "orders", "promises",
        "queue_wait_ms", "contact_wait_ms", "is_dirty", "has_signals", "_waits", "_basket", "_returned", "_resolved",
        "_journey_id", "touches_before", "signals_before", "promises_before",
    )  # fmt: skip

    def __init__(self, first: Touch, touches_before: int, signals_before: int, promises_before: int) -> None:
        self.touches_before = touches_before
        self.signals_before = signals_before
        self.promises_before = promises_before
        self.first = first
        self.last = first
        self.count = 0
        self.sources = [0] * len(SOURCES)
        self.stages = [0] * len(STAGES)
        self.channels: list[str] = []
        self.path: list[str] = []
        self.contacts = 0
        self.orders = 0
        self.promises: list[Promise] = []
        self.queue_wait_ms = NO_WAIT_MS
        self.contact_wait_ms = NO_WAIT_MS
        self.is_dirty = True
        self.has_signals = False
        self._waits: dict[tuple[str | None, ...], int] | None = None
        self._basket = False
        self._returned = False
        self._resolved: bool | None = None
        self._journey_id: str | None = None

    def journey_id(self, customer_key: str) -> str:
        """UUIDv5 of customer and first touchpoint."""
        if self._journey_id is None:
            self._journey_id = derive_id(customer_key, self.first.source, self.first.event_id)
        return self._journey_id

    def feed(self, touch: Touch) -> None:
        """Append a touch that comes after all others in order. Constant time."""
        kind = touch.type
        self.last = touch
        self.count += 1
        self.is_dirty = True
        self.sources[_SOURCE_INDEX[touch.source]] += 1
        stage = _STAGE_INDEX.get(kind, _UNKNOWN_STAGE_INDEX)
        if not self.stages[stage]:
            self.stages[stage] = touch.occurred_ms
        channel = touch.channel or touch.source
        if channel not in self.channels:
            self.channels.append(channel)
        if self.count <= MAX_PATH:
            self.path.append(kind)
        if kind in _NOTABLE:
            self._note(touch)

    def _note(self, touch: Touch) -> None:
        kind = touch.type
        if kind in _ORDER_TYPES:
            self.orders += 1
        elif kind in _BASKET_TYPES:
            self._basket = True
        elif kind in _RETURN_TYPES:
            self._returned = True
        elif kind == "contact_started":
            self.contacts += 1
            self._resolved = False if self._resolved is None else self._resolved
            self._start_wait((touch.details or {}).get("contact_id"), touch=touch)
        elif kind in _CONTACT_ENDS:
            if kind == "contact_ended":
                self._resolved = bool((touch.details or {}).get("resolved"))
            waited = self._end_wait((touch.details or {}).get("contact_id"), touch=touch)
            self.contact_wait_ms = max(self.contact_wait_ms, waited)
        elif kind == "queue_joined":
            self._start_wait(touch.store_id, (touch.details or {}).get("queue"), touch=touch)
        elif kind == "service_started":
            waited = self._end_wait(touch.store_id, (touch.details or {}).get("queue"), touch=touch)
            self.queue_wait_ms = max(self.queue_wait_ms, waited)
        elif kind in ("complaint_opened", "complaint_resolved"):
            self._resolved = kind == "complaint_resolved"

    def _start_wait(self, *key: str | None, touch: Touch) -> None:
        if self._waits is None:
            self._waits = {}
        self._waits[key] = touch.occurred_ms

    def _end_wait(self, *key: str | None, touch: Touch) -> int:
        started = self._waits.pop(key, None) if self._waits else None
        return NO_WAIT_MS if started is None else touch.occurred_ms - started

    def outcome(self) -> Outcome:
        """How it ended so far: a return outweighs an order, an order outweighs support, support outweighs browsing."""
        if self._returned:
            return "returned"
        if self.orders:
            return "converted"
        if self._resolved is not None:
            return "resolved" if self._resolved else "unresolved"
        return "abandoned" if self._basket else "browsing"

    def copied(self, promises: Mapping[int, Promise]) -> Journey:
        """An independent copy. `promises`: the copy of each promise, by the id of the original."""
        copy = Journey(self.first, self.touches_before, self.signals_before, self.promises_before)
        for name in self.__slots__:
            value = getattr(self, name)
            setattr(copy, name, value.copy() if isinstance(value, (list, dict)) else value)
        copy.promises = [promises[id(promise)] for promise in self.promises]
        return copy

    def closes_ms(self, rules: StitchingRules) -> int:
        """The last moment at which it is open, if nothing more comes."""
        end = self.last.occurred_ms
        if not rules.hold_open or not self.promises:
            return end + rules.gap_ms
        held_until = max((_held_until(promise) for promise in self.promises), default=0)
        return min(end + rules.max_gap_ms, max(end + rules.gap_ms, held_until))

    def takes(self, touch: Touch, rules: StitchingRules) -> bool:
        """Whether the next touch in order belongs to this journey."""
        distance = touch.occurred_ms - self.last.occurred_ms
        if distance <= rules.gap_ms:
            return True
        if distance > rules.max_gap_ms or not rules.hold_open:
            return False
        return any(promise.is_owed(touch.occurred_ms) for promise in self.promises)


def _held_until(promise: Promise) -> int:
    if promise.settling is not None:
        return 0
    return promise.latest_promised_ms if promise.kind.lapses else FOREVER_MS


class Stitcher:
    """The fold: feed it a customer's touches in order; read `journeys`, `book` and `signals`."""

    __slots__ = ("rules", "journeys", "book", "signals", "count", "_made_in")

    def __init__(self, rules: StitchingRules) -> None:
        self.rules = rules
        self.journeys: list[Journey] = []
        self.book = PromiseBook()
        self.count = 0
        self.signals: list[Touch] = []
        self._made_in: dict[int, Journey] = {}

    def feed(self, touch: Touch) -> None:
        """Append a touch that comes after all fed so far, in `order_key` order. Constant time but for open promises."""
        journeys = self.journeys
        journey = journeys[-1] if journeys else None
        if journey is None or (
            touch.occurred_ms - journey.last.occurred_ms > self.rules.gap_ms and not journey.takes(touch, self.rules)
        ):
            journey = self._start_journey(touch)
        journey.feed(touch)
        self.count += 1
        if touch.type in DETAILS:
            self.signals.append(touch)
            journey.has_signals = True
            self._feed_promises(touch, journey)

    def _start_journey(self, touch: Touch) -> Journey:
        if self.journeys:
            self.journeys[-1].is_dirty = True
            if self.rules.hold_open:
                self.book.give_up()
        journey = Journey(touch, self.count, len(self.signals), len(self.book.promises))
        self.journeys.append(journey)
        return journey

    def rewind(self, place: int) -> None:
        """Forget the journey that holds the touch before `place` in order, and all later ones; `count` touches remain.

        Where promises do not hold journeys open, what is owed outlives a journey, and everything is forgotten.
        """
        index = bisect_left(self.journeys, place, key=lambda journey: journey.touches_before) - 1
        if index < 1 or not self.rules.hold_open:
            self.__init__(self.rules)  # type: ignore[misc]
            return
        first = self.journeys[index]
        del self.journeys[index:]
        del self.signals[first.signals_before :]
        for promise in self.book.cut(first.promises_before):
            del self._made_in[id(promise)]
        self.count = first.touches_before

    def copied(self) -> Stitcher:
        """An independent copy: feeding either leaves the other as it was. Costs what the history's journeys cost."""
        copy = Stitcher(self.rules)
        copy.count = self.count
        copy.signals = self.signals.copy()
        promises = copy.book.take(self.book)
        for journey in self.journeys:
            own = journey.copied(promises)
            copy.journeys.append(own)
            copy._made_in.update((id(promise), own) for promise in own.promises)
        return copy

    def journey_at(self, occurred_ms: int) -> Journey | None:
        """The journey that holds a moment, or the last one before it."""
        index = bisect_right(self.journeys, occurred_ms, key=lambda journey: journey.first.occurred_ms)
        return self.journeys[index - 1] if index else None

    def journey_of(self, promise: Promise) -> Journey:
        """The journey in which a promise was made."""
        return self._made_in[id(promise)]

    def _feed_promises(self, touch: Touch, journey: Journey) -> None:
        promise = self.book.feed(touch)
        if promise is None:
            return
        if promise.opening is touch:
            journey.promises.append(promise)
            self._made_in[id(promise)] = journey
        else:
            self._made_in[id(promise)].is_dirty = True
