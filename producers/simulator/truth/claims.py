"""One said that it is there, another that it is not: `stock_mismatch`."""

from __future__ import annotations

from functools import partial

from producers.simulator.hours import HOUR_MS
from producers.simulator.truth.chronicle import Chronicle
from producers.simulator.truth.touch import Touch

_WITHIN_MS = 48 * HOUR_MS


class _Claim:
    __slots__ = ("said", "is_contradicted")

    def __init__(self, said: Touch) -> None:
        self.said = said
        self.is_contradicted = False


class Claims:
    """What the site says to a customer of a product's stock, in one store or anywhere.

    What it says stands for two days, unless it says something of the same store or of all. What a store finds
    contradicts the last that stands and means that store or none.
    """

    def __init__(self, chronicle: Chronicle) -> None:
        self._chronicle = chronicle
        self._standing: dict[tuple[str, str], list[_Claim]] = {}

    def say(self, touch: Touch) -> None:
        """The site says whether a product is in stock."""
        key, place = (touch.customer, touch.text("sku")), touch.place
        standing = [claim for claim in self._standing.get(key, ()) if place not in (None, claim.said.place)]
        if touch.properties.get("in_stock") is True:
            standing.append(_Claim(touch))
            self._chronicle.at(touch.at_ms + _WITHIN_MS + 1, partial(self._grow_old, key, touch))
        self._keep(key, standing)

    def contradict(self, touch: Touch) -> None:
        """A store has none."""
        sku, place = touch.text("sku"), touch.place
        standing = self._standing.get((touch.customer, sku), ())
        claim = next((claim for claim in reversed(standing) if claim.said.place in (None, place)), None)
        if claim is not None and not claim.is_contradicted:
            claim.is_contradicted = True
            subject = f"{sku}@{place}" if place else sku
            self._chronicle.record(touch.at_ms, "stock_mismatch", "sku", subject, claim.said, touch)

    def _grow_old(self, key: tuple[str, str], said: Touch) -> None:
        self._keep(key, [claim for claim in self._standing.get(key, ()) if claim.said is not said])

    def _keep(self, key: tuple[str, str], standing: list[_Claim]) -> None:
        if standing:
            self._standing[key] = standing
        else:
            self._standing.pop(key, None)
