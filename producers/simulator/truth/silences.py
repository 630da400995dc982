"""Something happened, and what should have followed did not come: `silent_delay`, `unheard_feedback`,
`checkout_trouble`.
"""

from __future__ import annotations

from functools import partial

from producers.simulator.hours import HOUR_MS, MINUTE_MS
from producers.simulator.truth.chronicle import Chronicle
from producers.simulator.truth.touch import Touch

_TELL_WITHIN_MS = 4 * HOUR_MS
_HEAR_WITHIN_MS = 48 * HOUR_MS
_TRY_AGAIN_WITHIN_MS = HOUR_MS
_ORDER_WITHIN_MS = 30 * MINUTE_MS


class _Silences:
    """Each beginning is true by itself once its time has passed and nothing broke the silence."""

    def __init__(self, chronicle: Chronicle, rule: str, within_ms: int) -> None:
        self._chronicle = chronicle
        self._rule = rule
        self._within_ms = within_ms
        self._open: dict[tuple[str, str], list[Touch]] = {}

    def begin(self, touch: Touch, key: tuple[str, str]) -> None:
        self._open.setdefault(key, []).append(touch)
        self._chronicle.at(touch.at_ms + self._within_ms + 1, partial(self._pass, touch, key))

    def end(self, key: tuple[str, str]) -> None:
        self._open.pop(key, None)

    def _pass(self, touch: Touch, key: tuple[str, str]) -> None:
        waiting = self._open.get(key, [])
        # All that wait on one key wait equally long, so the first of them is due first.
        if waiting and waiting[0] is touch:
            self._chronicle.record(touch.at_ms + self._within_ms + 1, self._rule, *touch.matter, touch)
            del waiting[0]
            if not waiting:
                del self._open[key]


class SilentDelays:
    """A delivery was moved, and for four hours nobody said so, nor was it handed over."""

    def __init__(self, chronicle: Chronicle) -> None:
        self._silences = _Silences(chronicle, "silent_delay", _TELL_WITHIN_MS)

    def delay(self, touch: Touch) -> None:
        """A delivery is moved."""
        if touch.order_id:
            self._silences.begin(touch, (touch.customer, touch.order_id))

    def tell(self, touch: Touch) -> None:
        """Somebody says so, or hands it over."""
        self._silences.end((touch.customer, touch.order_id or ""))


class UnheardFeedback:
    """A bad mark, and for two days nobody called, spoke or gave anything."""

    def __init__(self, chronicle: Chronicle) -> None:
        self._silences = _Silences(chronicle, "unheard_feedback", _HEAR_WITHIN_MS)

    def complain(self, touch: Touch) -> None:
        """A bad mark is given."""
        self._silences.begin(touch, (touch.customer, ""))

    def hear(self, touch: Touch) -> None:
        """Somebody turns to the customer."""
        self._silences.end((touch.customer, ""))


class CheckoutTrouble:
    """Two payments failed within an hour of each other, and for half an hour after the second nothing was bought.

    Further failures, each within an hour of the one before, belong to the same trouble; a purchase ends it.
    """

    def __init__(self, chronicle: Chronicle) -> None:
        self._chronicle = chronicle
        self._attempts: dict[str, list[Touch]] = {}

    def fail(self, touch: Touch) -> None:
        """A payment fails."""
        attempts = self._attempts.setdefault(touch.customer, [])
        attempts.append(touch)
        if len(attempts) == 2:
            self._chronicle.at(touch.at_ms + _ORDER_WITHIN_MS + 1, partial(self._pass, attempts))
        self._chronicle.at(touch.at_ms + _TRY_AGAIN_WITHIN_MS + 1, partial(self._forget, touch))

    def buy(self, touch: Touch) -> None:
        """It goes through after all, or in a store."""
        self._attempts.pop(touch.customer, None)

    def _pass(self, attempts: list[Touch]) -> None:
        first, second = attempts[:2]
        if self._attempts.get(first.customer) is attempts:
            at_ms = second.at_ms + _ORDER_WITHIN_MS + 1
            self._chronicle.record(at_ms, "checkout_trouble", *first.matter, first, second)

    def _forget(self, last: Touch) -> None:
        attempts = self._attempts.get(last.customer)
        if attempts is not None and attempts[-1] is last:
            del self._attempts[last.customer]
