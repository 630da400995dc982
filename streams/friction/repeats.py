"""Primitive `repeat`: touchpoints about the same thing, each soon after the one before, until a measure is reached."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from streams.friction.finding import MAX_EVIDENCE, Finding
from streams.friction.matter import NOTHING, Matter, Verdict, is_in_scope, resolve
from streams.promises import FOREVER_MS
from streams.rules.model import Rule
from streams.rules.patterns import text_of
from streams.rules.primitives import Measure, Repeat
from streams.touch import Touch

Subject = tuple[str, str]


def subjects_of(touch: Touch, names: Sequence[str]) -> list[Subject]:
    """What a touch is about, earlier names first."""
    values = ((name, text_of(touch, name)) for name in names)
    return [(name, value) for name, value in values if value]


class Tally:
    """One measure over a chain: what counts of all of it, and of its latest part."""

    __slots__ = ("_latest_ms", "_measure", "_recent_ms", "total")

    def __init__(self, measure: Measure) -> None:
        self._measure = measure
        self._recent_ms: deque[int] = deque(maxlen=measure.count)
        self._latest_ms: dict[str, int] = {}
        self.total = 0

    def add(self, touch: Touch, within_ms: int) -> bool:
        """Count a touch; returns whether the measure is reached with it."""
        measure, since_ms = self._measure, touch.occurred_ms - within_ms
        if measure.types and touch.type not in measure.types:
            return False
        if measure.distinct is None:
            self.total += 1
            self._recent_ms.append(touch.occurred_ms)
            return len(self._recent_ms) == measure.count and self._recent_ms[0] >= since_ms
        value = text_of(touch, measure.distinct)
        if value is None:
            return False
        self._latest_ms[value] = touch.occurred_ms
        self.total = len(self._latest_ms)
        return sum(latest_ms >= since_ms for latest_ms in self._latest_ms.values()) >= measure.count


class Chain:
    """Touches about one thing. `reached`: the measure that was reached first."""

    __slots__ = (
        "_latest",
        "_tallies",
        "broken",
        "first",
        "last_ms",
        "opened_ms",
        "reached",
        "resolving",
        "rule",
        "size",
    )

    def __init__(self, rule: Rule, parameters: Repeat, first: Touch) -> None:
        self.rule = rule
        self.first = first
        self.size = 0
        self.last_ms = first.occurred_ms
        self.opened_ms = FOREVER_MS
        self.reached: int | None = None
        self.broken = False
        self.resolving: Touch | None = None
        self._latest: deque[Touch] = deque(maxlen=MAX_EVIDENCE - 1)
        self._tallies = [Tally(measure) for measure in parameters.measures]

    def add(self, touch: Touch, within_ms: int) -> None:
        """Take the next touch."""
        if self.size:
            self._latest.append(touch)
        self.size += 1
        self.last_ms = touch.occurred_ms
        for index, tally in enumerate(self._tallies):
            if tally.add(touch, within_ms) and self.reached is None:
                self.reached, self.opened_ms = index, touch.occurred_ms

    def judge(self, now_ms: int) -> Verdict:
        parameters = self.rule.repeat
        if self.reached is None or parameters is None:
            return NOTHING
        quiet_ms = self.last_ms + parameters.within_ms
        resolved_ms, changes_ms = resolve(self.rule, self.opened_ms, self.resolving, now_ms)
        if resolved_ms is None and now_ms > quiet_ms:
            resolved_ms, changes_ms = quiet_ms, FOREVER_MS
        elif resolved_ms is not None:
            resolved_ms = min(resolved_ms, quiet_ms)
        actual = float(self._tallies[self.reached].total)
        until_ms = now_ms if resolved_ms is None else resolved_ms
        severity, graver_ms = self.rule.judge_severity(self.opened_ms, until_ms, actual)
        finding = Finding(
            rule=self.rule,
            anchor=self.first,
            subject=subjects_of(self.first, parameters.same)[0][1],
            opened_ms=self.opened_ms,
            last_seen_ms=self.last_ms,
            resolved_ms=resolved_ms,
            threshold=parameters.measures[self.reached].count - 1,
            actual=actual,
            unit=parameters.unit,
            evidence=(self.first, *self._latest),
            severity=severity,
        )
        return finding, FOREVER_MS if resolved_ms is not None else min(changes_ms, quiet_ms + 1, graver_ms)


class RepeatFold:
    """All chains of one rule. A touch joins the first chain among its subjects, and then they all are that chain's."""

    __slots__ = ("_ends", "_is_break", "_is_meant", "_latest", "_parameters", "_rule")

    def __init__(self, rule: Rule, parameters: Repeat) -> None:
        self._rule = rule
        self._parameters = parameters
        self._is_meant = parameters.is_meant
        self._is_break = parameters.is_break
        self._ends = rule.resolve.is_end
        self._latest: dict[Subject, Chain] = {}

    def feed(self, touch: Touch, changed: set[Matter]) -> None:
        if self._is_break(touch) or self._ends(touch):
            self._end(touch, changed)
            return
        if not self._is_meant(touch):
            return
        parameters, moment = self._parameters, touch.occurred_ms
        subjects = [(name, value) for name, read in parameters.read_subjects if (value := read(touch)) is not None]
        within_ms, chain = parameters.within_ms, None
        for subject in subjects:
            near = self._latest.get(subject)
            if near is not None and not near.broken and moment - near.last_ms <= within_ms:
                chain = near
                break
        if chain is None:
            if not subjects or not is_in_scope(self._rule, touch):
                return
            chain = Chain(self._rule, parameters, touch)
        chain.add(touch, within_ms)
        for subject in subjects:
            self._latest[subject] = chain
        if chain.reached is not None:
            changed.add(chain)

    def _end(self, touch: Touch, changed: set[Matter]) -> None:
        """End the chains that a touch breaks or resolves."""
        for subject in subjects_of(touch, self._parameters.same):
            chain = self._latest.get(subject)
            if chain is not None and not chain.broken:
                chain.broken, chain.resolving = True, touch
                if chain.reached is not None:
                    changed.add(chain)
