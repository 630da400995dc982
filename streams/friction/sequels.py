"""Rules that begin with friction episodes of other rules. They look at all of a customer's touches, kept or not.

Few customers have friction, so nothing is followed for the others: a sequel looks into the history when it is judged,
and goes on where it stopped.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence as Touches
from dataclasses import replace

from schemas.durations import to_milliseconds
from streams.friction.finding import Finding, point
from streams.friction.matter import NOBODY, NOTHING, Clock, Verdict, resolve
from streams.promises import FOREVER_MS
from streams.rules.model import Rule
from streams.rules.sequence import Sequence
from streams.touch import Touch, order_key


def _moment(touch: Touch) -> int:
    return touch.occurred_ms


class Sequel:
    """What follows one friction episode. `cause` is that episode as it was found last."""

    __slots__ = ("_begun", "_scanned", "_then", "_without", "cause", "clock", "deadline_ms", "parameters", "rule")

    def __init__(self, rule: Rule, parameters: Sequence, clock: Clock, cause: Finding) -> None:
        self.rule = rule
        self.parameters = parameters
        self.clock = clock
        self.cause = cause
        self.deadline_ms = clock.add(cause.opened_ms, parameters.within_ms + 1) - 1
        self.forget()

    def forget(self) -> None:
        """Look at everything anew next time: the history has changed behind what was seen."""
        self._scanned: int | None = None
        self._begun = False
        self._then: Touch | None = None
        self._without: list[Touch] = []

    @property
    def rank(self) -> str:
        """Decides between episodes with one anchor."""
        return self.cause.rule.id

    @property
    def ends_ms(self) -> int:
        """After which no touch changes it."""
        after_ms = self.rule.resolve.after_ms
        if self.rule.resolve.on is None:
            return self.deadline_ms
        return FOREVER_MS if after_ms is None else self.deadline_ms + 1 + after_ms

    def judge(self, order: Touches[Touch], now_ms: int) -> Verdict:
        """The verdict at a time, with all touches in order."""
        if not self._begun and not self._find_before(order):
            return NOTHING
        self._begun = True
        self._scan(order)
        return self._judge_absence(now_ms) if self.parameters.then is None else self._judge_then(now_ms)

    def _find_before(self, order: Touches[Touch]) -> bool:
        after, opened = self.parameters.after, self.cause.opened_ms
        if after is None:
            return True
        since_ms = opened - to_milliseconds(after.within)
        index = bisect_right(order, opened, key=_moment) - 1
        while index >= 0 and order[index].occurred_ms >= since_ms:
            if order[index].type in after.types:
                return True
            index -= 1
        return False

    def _scan(self, order: Touches[Touch]) -> None:
        """Look at the touches after the cause that were not seen yet, up to the time at which they stop to matter."""
        parameters, ends = self.parameters, self.rule.resolve.on
        index = bisect_right(order, self.cause.opened_ms, key=_moment) if self._scanned is None else self._scanned
        last = bisect_right(order, self.ends_ms, lo=index, key=_moment)
        for touch in order[index:last]:
            if touch.occurred_ms <= self.cause.opened_ms:
                continue
            if parameters.then is not None and self._then is None and parameters.then.matches(touch):
                self._then = touch
            elif (parameters.without is not None and parameters.without.matches(touch)) or (
                ends is not None and ends.matches(touch)
            ):
                self._without.append(touch)
        self._scanned = last

    def _judge_absence(self, now_ms: int) -> Verdict:
        start, opened = self.cause.opened_ms, self.deadline_ms + 1
        pattern, ends = self.parameters.without, self.rule.resolve.on
        if any(t.occurred_ms <= self.deadline_ms and pattern is not None and pattern.matches(t) for t in self._without):
            return NOTHING
        if now_ms < opened:
            return None, opened
        resolving = next((t for t in self._without if t.occurred_ms >= opened and ends and ends.matches(t)), None)
        resolved_ms, changes_ms = resolve(self.rule, opened, resolving, now_ms)
        if resolved_ms is None:
            elapsed, following = self.clock.step(start, now_ms, self.parameters.within_ms)
            seen, changes_ms = max(opened, self.clock.add(start, elapsed)), min(changes_ms, following)
        else:
            elapsed, seen = self.clock.between(start, resolved_ms), resolved_ms
        severity, graver_ms = self.rule.judge_severity(
            opened, now_ms if resolved_ms is None else resolved_ms, elapsed / 1000
        )
        shown = (resolving,) if resolving is not None and resolving.occurred_ms == resolved_ms else ()
        finding = Finding(
            rule=self.rule,
            anchor=self.cause.anchor,
            subject=self.cause.subject,
            opened_ms=opened,
            last_seen_ms=seen,
            resolved_ms=resolved_ms,
            threshold=self.parameters.within_ms / 1000,
            actual=elapsed / 1000,
            unit="seconds",
            evidence=self._evidence(*shown),
            severity=severity,
            limit_ms=self.deadline_ms,
            awaits=NOBODY if shown else self.rule.depends_on,
        )
        return finding, changes_ms if resolved_ms is not None else min(changes_ms, graver_ms)

    def _evidence(self, *touches: Touch) -> tuple[Touch, ...]:
        """The friction's own evidence and what came of it, nothing twice."""
        return tuple({touch.reference: touch for touch in (*self.cause.evidence, *touches)}.values())

    def _judge_then(self, now_ms: int) -> Verdict:
        then = self._then
        if then is None or then.occurred_ms > self.deadline_ms:
            return NOTHING
        pattern, moment = self.parameters.without, then.occurred_ms
        if pattern is not None and any(pattern.matches(t) and order_key(t) < order_key(then) for t in self._without):
            return NOTHING
        found = point(
            self.rule, then, self.cause.subject, self._evidence(then),
            actual=self.clock.between(self.cause.opened_ms, moment) / 1000,
            threshold=self.parameters.within_ms / 1000, unit="seconds",
        )  # fmt: skip
        finding = replace(found, anchor=self.cause.anchor)
        ends = self.rule.resolve
        if ends.on is None and ends.after_ms is None:
            return finding, FOREVER_MS
        later = next(
            (t for t in self._without if ends.on and ends.on.matches(t) and order_key(then) < order_key(t)), None
        )
        resolved_ms, changes_ms = resolve(self.rule, moment, later, now_ms)
        severity, graver_ms = self.rule.judge_severity(
            moment, now_ms if resolved_ms is None else resolved_ms, finding.actual
        )
        ended = (later,) if later is not None and later.occurred_ms == resolved_ms else ()
        evidence = self._evidence(then, *ended)
        finding = replace(finding, resolved_ms=resolved_ms, severity=severity, evidence=evidence)
        return finding, changes_ms if resolved_ms is not None else min(changes_ms, graver_ms)


def merge_cooled(findings: Touches[Finding], cooldown_ms: int, now_ms: int) -> tuple[list[Finding], int]:
    """Episodes that open soon after the one before ended update that one instead. In any order; by time comes out.

    Also returns the next moment at which time alone makes one of them graver.
    """
    merged: list[Finding] = []
    for finding in sorted(findings, key=lambda each: (each.opened_ms, *order_key(each.anchor))):
        former = merged[-1] if merged else None
        if former is None or (former.resolved_ms is not None and finding.opened_ms > former.ended_ms + cooldown_ms):
            merged.append(finding)
        else:
            merged[-1] = _merge(former, finding)
    graver_ms = FOREVER_MS
    for index, finding in enumerate(merged):
        until_ms = now_ms if finding.resolved_ms is None else finding.resolved_ms
        severity, changes_ms = finding.rule.judge_severity(finding.opened_ms, until_ms, finding.actual)
        merged[index] = replace(finding, severity=severity)
        graver_ms = min(graver_ms, changes_ms if finding.resolved_ms is None else FOREVER_MS)
    return merged, graver_ms


def _merge(former: Finding, finding: Finding) -> Finding:
    is_open = former.resolved_ms is None or finding.resolved_ms is None
    evidence = {touch.reference: touch for touch in (*former.evidence, *finding.evidence)}
    return replace(
        finding,
        anchor=former.anchor,
        subject=former.subject,
        opened_ms=former.opened_ms,
        last_seen_ms=max(former.last_seen_ms, finding.last_seen_ms),
        resolved_ms=None if is_open else max(former.ended_ms, finding.ended_ms),
        evidence=tuple(sorted(evidence.values(), key=order_key)),
    )
