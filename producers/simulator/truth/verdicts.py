"""Touchpoints that say enough by themselves: `unexpected_gift`, `promoter`, `public_praise`; and what a bad mark is."""

from __future__ import annotations

from producers.simulator.truth.chronicle import Chronicle
from producers.simulator.truth.touch import Touch

_GOOD_NPS, _BAD_NPS, _BAD_CSAT = 9, 6, 2
_GOOD_RATING, _BAD_RATING = 5, 2


def is_bad_mark(touch: Touch) -> bool:
    """Whether an answer or a review asks for somebody to turn to the customer."""
    mark = touch.properties
    if touch.type == "review_posted":
        return bool(mark["rating"] <= _BAD_RATING)
    limit = {"csat": _BAD_CSAT, "nps": _BAD_NPS}.get(mark["metric"])
    return limit is not None and bool(mark["score"] <= limit)


class Verdicts:
    """Each such touchpoint is an episode of its own."""

    def __init__(self, chronicle: Chronicle) -> None:
        self._chronicle = chronicle

    def get_gift(self, touch: Touch) -> None:
        """A gift is given."""
        self._write("unexpected_gift", touch)

    def answer(self, touch: Touch) -> None:
        """A survey is answered."""
        if touch.properties["metric"] == "nps" and touch.properties["score"] >= _GOOD_NPS:
            self._write("promoter", touch)

    def speak(self, touch: Touch) -> None:
        """Something is said of the company in public."""
        if touch.properties.get("sentiment") == "positive" or touch.properties.get("rating", 0) >= _GOOD_RATING:
            self._write("public_praise", touch)

    def _write(self, rule: str, touch: Touch) -> None:
        self._chronicle.record(touch.at_ms, rule, *touch.matter, touch)
