"""Primitive `threshold`: one touchpoint that says enough by itself."""

from __future__ import annotations

from streams.friction.finding import point
from streams.friction.matter import Matter, Verdict, is_in_scope
from streams.promises import FOREVER_MS
from streams.rules.model import Rule
from streams.rules.patterns import value_of
from streams.rules.primitives import Threshold
from streams.touch import Touch


class Moment:
    """One such touchpoint."""

    __slots__ = ("rule", "touch")

    def __init__(self, rule: Rule, touch: Touch) -> None:
        self.rule = rule
        self.touch = touch

    def judge(self, now_ms: int) -> Verdict:
        parameters, touch = self.rule.threshold, self.touch
        assert parameters is not None
        value = value_of(touch, parameters.measure) if parameters.measure else 1
        finding = point(
            self.rule, touch, touch.order_id or touch.reference, (touch,),
            actual=float(value) if isinstance(value, int | float) else 1,
            threshold=parameters.limit, unit="points" if parameters.measure else "times",
        )  # fmt: skip
        return finding, FOREVER_MS


class PointFold:
    """All such touchpoints."""

    __slots__ = ("_parameters", "_rule")

    def __init__(self, rule: Rule, parameters: Threshold) -> None:
        self._rule = rule
        self._parameters = parameters

    def feed(self, touch: Touch, changed: set[Matter]) -> None:
        if self._parameters.pattern.matches(touch) and is_in_scope(self._rule, touch):
            changed.add(Moment(self._rule, touch))
