"""Stitching: a customer's touches, in order, into journeys. Pure; one touch at a time, so that appending is cheap.

A new journey starts at a touch whose distance to the previous one is more than `gap` while no promise of the journey is
owed, or more than `max_gap` regardless. "Owed" means neither fulfilled nor withdrawn: a broken promise still is.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from streams.promises import FOREVER_MS, Promise, PromiseBook
from streams.summary import Summary
from streams.touch import Touch, derive_id


@dataclass(frozen=True)
class StitchingRules:
    """The boundaries of a journey, in milliseconds."""

    gap_ms: int
    max_gap_ms: int
    lateness_ms: int
    hold_open: bool = True


class Journey:
    """One journey as far as it is known: where it begins and ends, and what was promised in it.

    `touches_before`: how many touches precede it in the customer's order.
    """

    __slots__ = (
        "first", "last", "count", "promises", "is_dirty", "has_signals", "touches_before", "signals_before",
        "promises_before", "_summary", "_journey_id",
    )  # fmt: skip

    def __init__(self, first: Touch, touches_before: int, signals_before: int, promises_before: int) -> None:
        self.touches_before = touches_before
        self.signals_before = signals_before
        self.promises_before = promises_before
        self.first = first
        self.last = first
        self.count = 0
        self.promises: list[Promise] = []
        self.is_dirty = True
        self.has_signals = False
        self._summary: Summary | None = None
        self._journey_id: str | None = None

    def journey_id(self, customer_key: str) -> str:
        """UUIDv5 of customer and first touchpoint."""
        if self._journey_id is None:
            self._journey_id = derive_id(customer_key, self.first.source, self.first.event_id)
        return self._journey_id

    def summarise(self, order: Sequence[Touch]) -> Summary:
        """What its touches come to; `order` is all of the customer's. Looks only at those that came since last time."""
        summary = self._summary
        if summary is None:
            summary = self._summary = Summary()
        start = self.touches_before
        if summary.count < self.count:
            summary.extend(order[start + summary.count : start + self.count])
        return summary

    def copied(self, promises: Mapping[int, Promise]) -> Journey:
        """An independent copy. `promises`: the copy of each promise, by the id of the original."""
        copy = Journey(self.first, self.touches_before, self.signals_before, self.promises_before)
        copy.last, copy.count, copy.has_signals = self.last, self.count, self.has_signals
        copy.is_dirty, copy._journey_id = self.is_dirty, self._journey_id
        copy._summary = self._summary.copied() if self._summary is not None else None
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
        return any(promise.kind.holds and promise.is_owed(touch.occurred_ms) for promise in self.promises)


def _held_until(promise: Promise) -> int:
    if promise.settling is not None or not promise.kind.holds:
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
        journey.last = touch
        journey.count += 1
        journey.is_dirty = True
        self.count += 1
        if touch.details is not None:
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
        for promise in self.book.cut(first.promises_before, first.first):
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


def begins_between(journeys: Iterable[Journey], after_ms: int, until_ms: int) -> bool:
    """Whether any of these journeys begins after one moment and not after the other."""
    return any(after_ms < journey.first.occurred_ms <= until_ms for journey in journeys)


def find_firsts(
    key: str, name: str, touches: Iterable[Touch], gone: Iterable[str]
) -> list[tuple[str, str, int, str, str]]:
    """Rows (id, customer, when, source, event id) of those journeys that began with one of these touches."""
    left, found = set(gone), []
    for touch in touches:
        if not left:
            break
        journey_id = derive_id(key, touch.source, touch.event_id)
        if journey_id in left:
            left.discard(journey_id)
            found.append((journey_id, name, touch.occurred_ms, touch.source, touch.event_id))
    return found
