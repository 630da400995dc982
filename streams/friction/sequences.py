"""Primitive `sequence`: A, then B without C within a time; or A and no C within a time."""

from __future__ import annotations

from typing import cast

from streams.friction.finding import Finding
from streams.friction.matter import NOBODY, NOTHING, Clock, Matter, Verdict, is_in_scope, resolve
from streams.friction.repeats import Subject, subjects_of
from streams.promises import FOREVER_MS
from streams.rules.model import Rule
from streams.rules.sequence import Sequence
from streams.touch import Touch


class Course:
    """One A and what came of it. `complete_ms`: when its clock began to run, None until A has come often enough."""

    __slots__ = (
        "cancelled", "clock", "closed", "complete_ms", "crowded", "deadline_ms", "firsts", "key", "parameters",
        "resolving", "rule", "then",
    )  # fmt: skip

    def __init__(
        self, rule: Rule, parameters: Sequence, clock: Clock, key: tuple[str, ...] | None, first: Touch
    ) -> None:
        self.rule = rule
        self.parameters = parameters
        self.clock = clock
        self.key = key
        self.firsts: list[Touch] = []
        self.complete_ms: int | None = None
        self.deadline_ms = FOREVER_MS
        self.cancelled = False
        # Whether no further A belongs to it.
        self.closed = False
        self.crowded = False
        self.then: Touch | None = None
        self.resolving: Touch | None = None
        self.join(first)

    def join(self, first: Touch) -> None:
        """Take one more A."""
        self.firsts.append(first)
        if len(self.firsts) == self.parameters.first.count:
            self.complete_ms = first.occurred_ms
            self.deadline_ms = self.clock.add(first.occurred_ms, self.parameters.within_ms + 1) - 1

    def cancel(self, touch: Touch) -> bool:
        """C has come; returns whether that changes anything."""
        self.closed = True
        if self.then is not None or touch.occurred_ms > self.deadline_ms:
            return False
        self.cancelled = True
        return True

    def follow(self, touch: Touch) -> bool:
        """B has come."""
        if self.then is not None or self.cancelled or not self.complete_ms or touch.occurred_ms > self.deadline_ms:
            return False
        self.then = touch
        self.closed = True
        return True

    def end(self, touch: Touch) -> bool:
        """What resolves it has come."""
        fired = self.then is not touch and touch.occurred_ms >= self._fires_ms
        if not fired or self.resolving is not None or (self.then is None and self.parameters.then is not None):
            return False
        self.resolving = touch
        return True

    def is_over(self, now_ms: int) -> bool:
        """Whether no touch after that time changes it."""
        if self.cancelled or self.resolving is not None:
            return True
        if self.rule.resolve.on is None or (self.then is None and self.parameters.then is not None):
            return self.then is not None or now_ms > self.deadline_ms
        after_ms = self.rule.resolve.after_ms
        return after_ms is not None and now_ms > max(self._fires_ms, self.deadline_ms) + after_ms

    @property
    def _fires_ms(self) -> int:
        """When it is an episode at the earliest, as far as is known."""
        fires_ms = self.deadline_ms + 1 if self.then is None else self.then.occurred_ms
        if self.parameters.alone is None:
            return fires_ms
        return max(fires_ms, self.firsts[0].occurred_ms + self.parameters.alone_ms + 1)

    def judge(self, now_ms: int) -> Verdict:
        if self.cancelled or self.crowded or self.complete_ms is None:
            return NOTHING
        if self.then is None and self.parameters.then is not None:
            return NOTHING
        opened = self._fires_ms
        if now_ms < opened:
            return None, opened
        if self.then is None:
            return self._judge_absence(self.complete_ms, opened, now_ms)
        elapsed = self.clock.between(self.complete_ms, self.then.occurred_ms)
        return self._judge_course(opened, elapsed, now_ms)

    def _judge_absence(self, start_ms: int, opened: int, now_ms: int) -> Verdict:
        resolved_ms, changes_ms = resolve(self.rule, opened, self.resolving, now_ms)
        if resolved_ms is None:
            elapsed, following = self.clock.step(start_ms, now_ms, self.parameters.within_ms)
            seen = max(opened, self.clock.add(start_ms, elapsed))
            changes_ms = min(changes_ms, following)
        else:
            elapsed, seen = self.clock.between(start_ms, resolved_ms), resolved_ms
        return self._find(opened, seen, resolved_ms, elapsed, now_ms, changes_ms)

    def _judge_course(self, opened: int, elapsed: int, now_ms: int) -> Verdict:
        if self.rule.resolve.on is None and self.rule.resolve.after_ms is None:
            return self._find(opened, opened, opened, elapsed, now_ms, FOREVER_MS)
        resolved_ms, changes_ms = resolve(self.rule, opened, self.resolving, now_ms)
        return self._find(opened, opened, resolved_ms, elapsed, now_ms, changes_ms)

    def _find(
        self, opened: int, seen: int, resolved_ms: int | None, elapsed: int, now_ms: int, changes_ms: int
    ) -> Verdict:
        until_ms = now_ms if resolved_ms is None else resolved_ms
        severity, graver_ms = self.rule.judge_severity(opened, until_ms, elapsed / 1000)
        resolving = self.resolving if self.resolving and self.resolving.occurred_ms == resolved_ms else None
        is_absence = self.parameters.then is None
        finding = Finding(
            rule=self.rule,
            anchor=self.firsts[0],
            subject=self._subject,
            opened_ms=opened,
            last_seen_ms=seen,
            resolved_ms=resolved_ms,
            threshold=self.parameters.within_ms / 1000,
            actual=elapsed / 1000,
            unit="seconds",
            evidence=(*self.firsts, *(touch for touch in (self.then, resolving) if touch is not None)),
            severity=severity,
            limit_ms=self.deadline_ms if is_absence else None,
            awaits=self.rule.depends_on if is_absence and resolving is None else NOBODY,
        )
        return finding, changes_ms if resolved_ms is not None else min(changes_ms, graver_ms)

    @property
    def _subject(self) -> str:
        if self.key:
            return "/".join(self.key)
        first, alone = self.firsts[0], self.parameters.alone
        about = subjects_of(first, alone.same) if alone is not None else []
        return about[0][1] if about else first.order_id or first.reference


class SequenceFold:
    """All courses of one rule that begins with touches."""

    __slots__ = ("_clock", "_is_first", "_live", "_near", "_parameters", "_rule")

    def __init__(self, rule: Rule, parameters: Sequence, clock: Clock) -> None:
        self._rule = rule
        self._parameters = parameters
        self._clock = clock
        self._is_first = parameters.is_first
        self._live: dict[tuple[str, ...], list[Course]] = {}
        self._near: dict[Subject, Course] = {}

    def feed(self, touch: Touch, changed: set[Matter]) -> None:
        is_first = self._is_first(touch)
        if not is_first and not self._live:
            return
        key = self._parameters.read_key(touch)
        named = None if None in key else cast(tuple[str, ...], key)
        live = self._live.get(named) if named is not None else None
        if live:
            self._follow(touch, live, changed)
            live[:] = [course for course in live if not course.is_over(touch.occurred_ms)]
            if not live and named is not None:
                del self._live[named]
        if is_first:
            self._begin(touch, named, changed)

    def _follow(self, touch: Touch, live: list[Course], changed: set[Matter]) -> None:
        parameters = self._parameters
        if parameters.is_without(touch):
            changed.update(course for course in live if course.cancel(touch))
        if parameters.is_then(touch):
            changed.update(course for course in live if course.follow(touch))
        if self._rule.resolve.is_end(touch):
            changed.update(course for course in live if course.end(touch))

    def _begin(self, touch: Touch, key: tuple[str, ...] | None, changed: set[Matter]) -> None:
        first = self._parameters.first
        if first.count > 1 and key is not None:
            for course in self._live.get(key, ()):
                if touch.occurred_ms - course.firsts[-1].occurred_ms <= first.within_ms and not course.closed:
                    course.join(touch)
                    changed.add(course)
                    return
        course = Course(self._rule, self._parameters, self._clock, key, touch)
        course.crowded = key is None or not is_in_scope(self._rule, touch)
        self._crowd(touch, course, changed)
        changed.add(course)
        if key is not None and not course.crowded:
            live = self._live.setdefault(key, [])
            live[:] = [each for each in live if each.complete_ms is not None]
            live.append(course)

    def _crowd(self, touch: Touch, course: Course, changed: set[Matter]) -> None:
        """Note which courses are not alone: those about the same thing that begin near each other."""
        alone = self._parameters.alone
        if alone is None:
            return
        for subject in subjects_of(touch, alone.same):
            former = self._near.get(subject)
            if former is not None and touch.occurred_ms - former.firsts[0].occurred_ms <= self._parameters.alone_ms:
                former.crowded = course.crowded = True
                changed.add(former)
            self._near[subject] = course
