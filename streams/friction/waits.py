"""Primitive `wait`: A until B takes longer than allowed, also while B has not come; or is over soon."""

from __future__ import annotations

from streams.friction.finding import Finding, point
from streams.friction.matter import NOBODY, NOTHING, Clock, Matter, Verdict, is_in_scope, resolve
from streams.promises import FOREVER_MS
from streams.rules.model import Rule
from streams.rules.patterns import text_of
from streams.rules.primitives import WaitCase
from streams.touch import Touch


class Waiting:
    """One wait, from its beginning to what ended it. A second beginning on the same key ends the first wait."""

    __slots__ = ("began", "case", "clock", "ended", "rule")

    def __init__(self, rule: Rule, case: WaitCase, clock: Clock, began: Touch) -> None:
        self.rule = rule
        self.case = case
        self.clock = clock
        self.began = began
        self.ended: Touch | None = None

    @property
    def _subject(self) -> str:
        return "/".join(filter(None, (text_of(self.began, name) for name in self.case.match)))

    @property
    def rank(self) -> str:
        """Decides between cases of one rule that find the same wait."""
        return f"{self.case.limit_ms:020d}"

    @property
    def _awaits(self) -> frozenset[str]:
        return self.case.sources if self.rule.needs is None else self.rule.depends_on

    @property
    def _gives_up_ms(self) -> int:
        return self.clock.add(self.began.occurred_ms, self.case.give_up_ms)

    def judge(self, now_ms: int) -> Verdict:
        if self.case.shorter_than is not None:
            return self._judge_speed()
        case, start = self.case, self.began.occurred_ms
        end = self._end_ms(now_ms)
        waited = self.clock.between(start, now_ms if end is None else end)
        if waited <= case.limit_ms:
            return None, FOREVER_MS if end is not None else self.clock.add(start, case.limit_ms + 1)
        return self._find(end, waited, now_ms)

    def _end_ms(self, now_ms: int) -> int | None:
        """When it ended; nobody waits longer than until it is given up."""
        gives_up_ms = self._gives_up_ms
        if self.ended is not None and self.ended.occurred_ms <= gives_up_ms:
            return self.ended.occurred_ms
        return gives_up_ms if now_ms > gives_up_ms else None

    def _find(self, end: int | None, waited: int, now_ms: int) -> Verdict:
        case, start = self.case, self.began.occurred_ms
        opened = self.clock.add(start, case.limit_ms + 1)
        ended = self.ended if self.ended is not None and self.ended.occurred_ms == end else None
        closed_ms, changes_ms = resolve(self.rule, opened, ended, now_ms)
        if closed_ms is not None and (end is None or closed_ms < end):
            end, ended = closed_ms, None
            waited = self.clock.between(start, end)
        seen = end
        if end is None:
            waited, following = self.clock.step(start, now_ms, case.limit_ms)
            changes_ms = min(changes_ms, following, self._gives_up_ms + 1)
            seen = max(opened, self.clock.add(start, waited))
        severity, graver_ms = self.rule.judge_severity(opened, now_ms if end is None else end, waited / 1000)
        finding = Finding(
            rule=self.rule,
            anchor=self.began,
            subject=self._subject,
            opened_ms=opened,
            last_seen_ms=seen or opened,
            resolved_ms=end,
            threshold=case.limit_ms / 1000,
            actual=waited / 1000,
            unit="seconds",
            evidence=(self.began,) if ended is None else (self.began, ended),
            severity=severity,
            limit_ms=opened - 1,
            awaits=self._awaits if ended is None else NOBODY,
        )
        return finding, changes_ms if end is not None else min(changes_ms, graver_ms)

    def _judge_speed(self) -> Verdict:
        ended, limit_ms = self.ended, self.case.limit_ms
        if ended is None or ended.type not in self.case.ends or not self.case.ending.holds(ended):
            return NOTHING
        waited = self.clock.between(self.began.occurred_ms, ended.occurred_ms)
        if waited > limit_ms:
            return NOTHING
        found = point(
            self.rule, ended, self._subject, (self.began, ended),
            actual=waited / 1000, threshold=limit_ms / 1000, unit="seconds",
        )  # fmt: skip
        return found, FOREVER_MS


class WaitFold:
    """All waits of one case."""

    __slots__ = ("_begins", "_case", "_clock", "_ends", "_read", "_rule", "_waiting")

    def __init__(self, rule: Rule, case: WaitCase, clock: Clock) -> None:
        self._rule = rule
        self._case = case
        self._clock = clock
        self._begins = case.is_beginning
        self._ends = case.ends
        self._read = case.read_key
        self._waiting: dict[tuple[str | None, ...], Waiting] = {}

    def feed(self, touch: Touch, changed: set[Matter]) -> None:
        begins = self._begins(touch)
        if not begins and (not self._waiting or touch.type not in self._ends):
            return
        key = self._read(touch)
        former = self._waiting.pop(key, None)
        if former is not None:
            former.ended = touch
            changed.add(former)
        if begins and is_in_scope(self._rule, touch):
            matter = self._waiting[key] = Waiting(self._rule, self._case, self._clock, touch)
            changed.add(matter)
