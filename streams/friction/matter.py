"""Matters: each a problem that there may be, as far as the touches tell; and folds, which follow them touch by touch.

A matter is judged as of a time, and judging changes nothing. A fold is fed a customer's touches in order and names the
matters whose verdict may have changed. What comes out of order has the fold begin anew.
"""

from __future__ import annotations

from typing import Protocol

from streams.friction.finding import Finding, step_elapsed
from streams.promises import FOREVER_MS
from streams.rules.calendars import Calendar
from streams.rules.model import Rule
from streams.rules.patterns import text_of
from streams.touch import Touch

Verdict = tuple[Finding | None, int]
"""What is found, and the next moment at which time alone may change it."""
NOBODY: frozenset[str] = frozenset()
NOTHING: Verdict = (None, FOREVER_MS)


class Matter(Protocol):
    """One possible episode."""

    rule: Rule

    def judge(self, now_ms: int) -> Verdict:
        """What it comes to at that time."""
        ...


class Fold(Protocol):
    """One rule, or one case of it, over the touches of one customer."""

    def feed(self, touch: Touch, changed: set[Matter]) -> None:
        """Take a touch of a type that the rule looks at, after all others in order; adds to `changed`."""
        ...


class Clock:
    """How a rule's time runs: always, or in the open hours of a calendar."""

    __slots__ = ("_calendar",)

    def __init__(self, calendar: Calendar | None = None) -> None:
        self._calendar = calendar

    def add(self, start_ms: int, span_ms: int) -> int:
        """The moment at which so much time has run since the start."""
        return start_ms + span_ms if self._calendar is None else self._calendar.add_open(start_ms, span_ms)

    def between(self, start_ms: int, end_ms: int) -> int:
        """How much time has run between two moments."""
        return end_ms - start_ms if self._calendar is None else self._calendar.open_between(start_ms, end_ms)

    def step(self, start_ms: int, now_ms: int, first_ms: int) -> tuple[int, int]:
        """The time run since the start in doubling steps of `first_ms`, and the moment of the next step."""
        elapsed, following = step_elapsed(self.between(start_ms, now_ms), first_ms)
        return elapsed, self.add(start_ms, following)


def is_in_scope(rule: Rule, touch: Touch) -> bool:
    """Whether a problem that begins with this touch is one that the rule looks at."""
    scope = rule.scope
    return (
        (not scope.sources or touch.source in scope.sources)
        and (not scope.channels or touch.channel in scope.channels)
        and (not scope.stores or text_of(touch, "store_id") in scope.stores)
        and (not scope.segments or (touch.details or {}).get("segment") in scope.segments)
    )


def resolve(rule: Rule, opened_ms: int, resolving: Touch | None, now_ms: int) -> tuple[int | None, int]:
    """When an episode ended, by a touch or by its time, and else when it will by time."""
    after_ms = rule.resolve.after_ms
    ends_ms = FOREVER_MS if after_ms is None else opened_ms + after_ms
    if resolving is not None and resolving.occurred_ms <= ends_ms:
        return resolving.occurred_ms, FOREVER_MS
    return (ends_ms, FOREVER_MS) if now_ms > ends_ms else (None, min(ends_ms + 1, FOREVER_MS))
