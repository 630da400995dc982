"""Primitive `deadline`: what became of a promise: broken, kept early, kept after trouble, or lapsed unused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from streams.friction.finding import Finding, point
from streams.friction.matter import NOBODY, NOTHING, Clock, Matter, Verdict, is_in_scope, resolve
from streams.promises import FOREVER_MS, Promise
from streams.rules.model import Rule
from streams.rules.patterns import text_of
from streams.rules.primitives import Deadline
from streams.touch import Touch, order_key

FIRST_STEP_MS = 3_600_000
LAPSE_TYPES = frozenset({"hold_expired"})


class DeadlineFold:
    """One rule over a customer's promises, judged as a whole: promises are few, and one touch may move several."""

    __slots__ = ("_beside", "_clock", "_parameters", "rule")

    def __init__(self, rule: Rule, parameters: Deadline, clock: Clock) -> None:
        self.rule = rule
        self._parameters = parameters
        self._clock = clock
        self._beside: list[Touch] = []

    @property
    def promise(self) -> str:
        """The kind of promise that it judges."""
        return self._parameters.promise

    def feed(self, touch: Touch, changed: set[Matter]) -> None:
        """Keep what is looked at besides the promises."""
        pattern = self._parameters.beside
        if pattern is not None and pattern.matches(touch):
            self._beside.append(touch)

    def judge(self, promises: Sequence[Promise], now_ms: int) -> Iterator[Verdict]:
        """The verdict on each of the customer's promises of the rule's kind."""
        for promise in promises:
            if is_in_scope(self.rule, promise.opening):
                yield self._judge(promise, now_ms)

    def _judge(self, promise: Promise, now_ms: int) -> Verdict:
        match self._parameters.when:
            case "broken":
                return self._judge_broken(promise, now_ms)
            case "lapsed":
                return self._judge_lapsed(promise, now_ms)
            case "early" | "kept":
                return self._judge_kept(promise)

    def _judge_broken(self, promise: Promise, now_ms: int) -> Verdict:
        broken_ms, promised_ms = promise.broken(lambda due_ms: self._clock.add(due_ms, 1))
        if promised_ms == FOREVER_MS:
            return NOTHING
        if broken_ms > now_ms:
            return None, broken_ms
        settled_ms, changes_ms = resolve(self.rule, broken_ms, promise.settling, now_ms)
        settling = promise.settling if settled_ms is not None and settled_ms == promise.settled_ms else None
        if settled_ms is not None:
            overdue_ms, seen = self._clock.between(promised_ms, settled_ms), settled_ms
        else:
            overdue_ms, following = self._clock.step(promised_ms, now_ms, FIRST_STEP_MS)
            changes_ms = min(changes_ms, following)
            seen = max(broken_ms, self._clock.add(promised_ms, overdue_ms))
        severity, graver_ms = self.rule.judge_severity(
            broken_ms, now_ms if settled_ms is None else settled_ms, overdue_ms / 1000
        )
        finding = Finding(
            rule=self.rule,
            anchor=promise.opening,
            subject=promise.subject,
            opened_ms=broken_ms,
            last_seen_ms=seen,
            resolved_ms=settled_ms,
            threshold=0,
            actual=overdue_ms / 1000,
            unit="seconds",
            evidence=(promise.opening,) if settling is None else (promise.opening, settling),
            severity=severity,
            promised_ms=promised_ms,
            limit_ms=promised_ms,
            awaits=self.rule.depends_on if settling is None else NOBODY,
        )
        return finding, changes_ms if settled_ms is not None else min(changes_ms, graver_ms)

    def _judge_kept(self, promise: Promise) -> Verdict:
        settling, promised_ms = promise.settling, promise.latest_promised_ms
        if settling is None or promise.withdrawn or promised_ms == FOREVER_MS:
            return NOTHING
        spare_ms = self._clock.between(settling.occurred_ms, promised_ms) if settling.occurred_ms <= promised_ms else -1
        trouble: tuple[Touch, ...] = ()
        if self._parameters.when == "kept":
            trouble = tuple(t for t in self._about(promise) if order_key(t) < order_key(settling))
            if not trouble:
                return NOTHING
        if spare_ms < self._parameters.by_ms:
            return NOTHING
        found = point(
            self.rule, settling, promise.subject, (promise.opening, *trouble, settling),
            actual=spare_ms / 1000, threshold=self._parameters.by_ms / 1000, unit="seconds",
        )  # fmt: skip
        return replace(found, promised_ms=promised_ms), FOREVER_MS

    def _judge_lapsed(self, promise: Promise, now_ms: int) -> Verdict:
        settling, opened = promise.settling, max(promise.moves[-1][0], promise.latest_promised_ms + 1)
        expired = settling if settling is not None and settling.type in LAPSE_TYPES else None
        if expired is not None:
            opened = min(opened, expired.occurred_ms)
        elif settling is not None and settling.occurred_ms < opened:
            return NOTHING
        if now_ms < opened:
            return None, opened
        if any(
            touch.occurred_ms <= promise.latest_promised_ms
            and (expired is None or order_key(touch) < order_key(expired))
            for touch in self._about(promise)
        ):
            return NOTHING
        collected = settling if expired is None else None
        resolved_ms, changes_ms = resolve(self.rule, opened, collected, now_ms)
        severity, graver_ms = self.rule.judge_severity(opened, now_ms if resolved_ms is None else resolved_ms, 0)
        finding = Finding(
            rule=self.rule,
            anchor=promise.opening,
            subject=promise.subject,
            opened_ms=opened,
            last_seen_ms=opened,
            resolved_ms=resolved_ms,
            threshold=0,
            actual=0,
            unit="seconds",
            evidence=(promise.opening,) if expired is None else (promise.opening, expired),
            severity=severity,
            promised_ms=promise.latest_promised_ms,
            limit_ms=promise.latest_promised_ms,
        )
        return finding, changes_ms if resolved_ms is not None else min(changes_ms, graver_ms)

    def _about(self, promise: Promise) -> Iterator[Touch]:
        """What came after the request and names what it is about, or nothing."""
        name = self._parameters.subject
        about = text_of(promise.opening, name)
        for touch in self._beside:
            if text_of(touch, name) in (None, about) and order_key(touch) > order_key(promise.opening):
                yield touch
