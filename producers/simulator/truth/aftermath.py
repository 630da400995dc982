"""What follows a friction: `friction_then_abandonment`, `delight_opportunity`."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from producers.simulator.hours import DAY_MS, HOUR_MS, MINUTE_MS
from producers.simulator.truth.chronicle import Chronicle
from producers.simulator.truth.friction import Friction
from producers.simulator.truth.touch import Touch

_CART_WITHIN_MS = 24 * HOUR_MS
_BUY_WITHIN_MS = 48 * HOUR_MS
_COME_WITHIN_MS = 7 * DAY_MS
_HERE_FOR_MS = 30 * MINUTE_MS
_COOLDOWN_MS = DAY_MS


class _Unsure:
    """A friction after which a purchase is still to be hoped for."""

    __slots__ = ("friction", "was_buying")

    def __init__(self, friction: Friction, was_buying: bool) -> None:
        self.friction = friction
        self.was_buying = was_buying


class Abandonments:
    """A friction met somebody who was about to buy, and who then for two days bought nothing."""

    def __init__(self, chronicle: Chronicle) -> None:
        self._chronicle = chronicle
        self._cart_ms: dict[str, int] = {}
        self._unsure: dict[str, list[_Unsure]] = {}
        self._anchors: set[tuple[str, str]] = set()

    def suffer(self, friction: Friction) -> None:
        """A friction opens."""
        customer, opened_ms = friction.customer_id, friction.true_at_ms
        was_buying = self._cart_ms.get(customer, opened_ms - _CART_WITHIN_MS - 1) >= opened_ms - _CART_WITHIN_MS
        unsure = _Unsure(friction, was_buying)
        self._unsure.setdefault(customer, []).append(unsure)
        self._chronicle.at(opened_ms + _BUY_WITHIN_MS + 1, partial(self._pass, unsure))

    def go_for_it(self, touch: Touch) -> None:
        """Something is put into the cart, or is to be paid."""
        self._cart_ms[touch.customer] = touch.at_ms
        for unsure in self._unsure.get(touch.customer, ()):
            # At the very moment of the friction counts as before it.
            unsure.was_buying = unsure.was_buying or unsure.friction.true_at_ms == touch.at_ms

    def buy(self, touch: Touch) -> None:
        """A purchase, here or there."""
        unsure = self._unsure.pop(touch.customer, ())
        if still := [each for each in unsure if each.friction.true_at_ms >= touch.at_ms]:
            self._unsure[touch.customer] = still

    def _pass(self, unsure: _Unsure) -> None:
        friction = unsure.friction
        mine = self._unsure.get(friction.customer_id, [])
        if unsure not in mine:
            return
        mine.remove(unsure)
        if not mine:
            del self._unsure[friction.customer_id]
        key = friction.customer_id, friction.anchor
        # Two frictions may have begun with the same touchpoint; what followed is one episode.
        if unsure.was_buying and key not in self._anchors:
            self._anchors.add(key)
            at_ms = friction.true_at_ms + _BUY_WITHIN_MS + 1
            self._chronicle.write(friction._replace(true_at_ms=at_ms, rule="friction_then_abandonment"))


class _Debt(NamedTuple):
    """A friction that is to be made good, and the order of its anchor among all touchpoints."""

    order: tuple[int, str, str]
    friction: Friction


class Opportunities:
    """Somebody whom a friction has met in the last week is here now, and was given nothing since.

    They concern the customer, whatever the frictions were about: what comes within a day after one belongs to it.
    """

    def __init__(self, chronicle: Chronicle) -> None:
        self._chronicle = chronicle
        self._owed: dict[str, list[_Debt]] = {}
        self._quiet_until_ms: dict[str, int] = {}
        self._anchors: set[tuple[str, str]] = set()

    def suffer(self, friction: Friction, anchor: Touch) -> None:
        """A friction opens."""
        debt = _Debt((anchor.at_ms, anchor.source, anchor.event_id), friction)
        self._owed.setdefault(friction.customer_id, []).append(debt)

    def get_gift(self, touch: Touch) -> None:
        """Something was given: what was before is made good."""
        self._take_debts(touch)

    def come(self, touch: Touch) -> None:
        """The customer is in a store or on the site."""
        for debt in sorted(self._take_debts(touch)):
            if touch.at_ms <= debt.friction.true_at_ms + _COME_WITHIN_MS:
                self._use(debt.friction, touch)

    def _take_debts(self, touch: Touch) -> list[_Debt]:
        """What is owed from before; it is owed no more."""
        owed = self._owed.pop(touch.customer, [])
        if still := [debt for debt in owed if debt.friction.true_at_ms >= touch.at_ms]:
            self._owed[touch.customer] = still
        return [debt for debt in owed if debt.friction.true_at_ms < touch.at_ms]

    def _use(self, friction: Friction, touch: Touch) -> None:
        key = friction.customer_id, friction.anchor
        # Two frictions may have begun with the same touchpoint; the first of them to be met again counts.
        if key in self._anchors:
            return
        self._anchors.add(key)
        is_another = touch.at_ms > self._quiet_until_ms.get(friction.customer_id, touch.at_ms - 1)
        self._quiet_until_ms[friction.customer_id] = touch.at_ms + _HERE_FOR_MS + _COOLDOWN_MS
        if is_another:
            shown = (friction.touchpoints[0], touch.event_id)
            self._chronicle.write(
                friction._replace(true_at_ms=touch.at_ms, rule="delight_opportunity", touchpoints=shown)
            )
