"""Primitive `mismatch`: one source said something, and soon after another contradicts it."""

from __future__ import annotations

from streams.friction.finding import Finding
from streams.friction.matter import NOTHING, Matter, Verdict, is_in_scope, resolve
from streams.rules.model import Rule
from streams.rules.patterns import key_of, text_of
from streams.rules.primitives import Mismatch
from streams.rules.readers import Key
from streams.touch import Touch

Given = Key


def agree(claimed: Given, found: Given) -> bool:
    """Whether what the claim names is what was found; what it does not name may be anything."""
    return all(mine is None or mine == other for mine, other in zip(claimed, found, strict=True))


class Claim:
    """Something that was said, and what contradicted it."""

    __slots__ = ("contradictions", "given", "parameters", "rule", "said")

    def __init__(self, rule: Rule, parameters: Mismatch, said: Touch, given: Given) -> None:
        self.rule = rule
        self.parameters = parameters
        self.said = said
        self.given = given
        self.contradictions: list[Touch] = []

    def judge(self, now_ms: int) -> Verdict:
        if not self.contradictions:
            return NOTHING
        first, last = self.contradictions[0].occurred_ms, self.contradictions[-1].occurred_ms
        resolved_ms, changes_ms = resolve(self.rule, first, None, now_ms)
        actual = (last - self.said.occurred_ms) / 1000
        severity, graver_ms = self.rule.judge_severity(first, now_ms if resolved_ms is None else resolved_ms, actual)
        place = [text_of(self.contradictions[0], name) for name in self.parameters.match_given]
        finding = Finding(
            rule=self.rule,
            anchor=self.said,
            subject="@".join([*(key_of(self.said, self.parameters.match) or ()), *filter(None, place)]),
            opened_ms=first,
            last_seen_ms=last,
            resolved_ms=resolved_ms,
            threshold=self.parameters.within_ms / 1000,
            actual=actual,
            unit="seconds",
            evidence=(self.said, *self.contradictions),
            severity=severity,
        )
        return finding, changes_ms if resolved_ms is not None else min(changes_ms, graver_ms)


class MismatchFold:
    """All claims of one rule. A claim stands until the same is said otherwise."""

    __slots__ = ("_claims", "_parameters", "_rule")

    def __init__(self, rule: Rule, parameters: Mismatch) -> None:
        self._rule = rule
        self._parameters = parameters
        self._claims: dict[Key, list[Claim]] = {}

    def feed(self, touch: Touch, changed: set[Matter]) -> None:
        parameters = self._parameters
        key = parameters.read_key(touch)
        claims = self._claims.get(key)
        if None in key or (claims is None and touch.type not in parameters.said.types):
            return
        given = parameters.read_given(touch)
        if claims is None:
            claims = self._claims[key] = []
        if parameters.is_contradiction(touch):
            self._contradict(touch, claims, given, changed)
        if touch.type in parameters.said.types:
            claims[:] = [claim for claim in claims if not agree(given, claim.given)]
            if parameters.is_said(touch) and is_in_scope(self._rule, touch):
                claims.append(Claim(self._rule, parameters, touch, given))

    def _contradict(self, touch: Touch, claims: list[Claim], given: Given, changed: set[Matter]) -> None:
        since_ms = touch.occurred_ms - self._parameters.within_ms
        standing = [claim for claim in claims if claim.said.occurred_ms >= since_ms and agree(claim.given, given)]
        if standing:
            standing[-1].contradictions.append(touch)
            changed.add(standing[-1])
