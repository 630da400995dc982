"""The words that the oracle's parts share: values of a touch, clocks, and what a rule finds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from streams.rules.calendars import Calendar
from streams.rules.model import Rule
from streams.touch import Touch

HOUR_MS = 3_600_000


@dataclass
class Found:
    """One problem (or delight) that a rule finds, as it stands at some time; times in milliseconds."""

    rule: Rule
    anchor: Touch
    subject: str
    opened: int
    seen: int
    resolved: int | None
    threshold: float
    actual: float
    unit: str
    evidence: list[Touch]


@dataclass(frozen=True)
class Clock:
    """Counts milliseconds; with a calendar those of its open hours only."""

    calendar: Calendar | None = None

    def between(self, start: int, end: int) -> int:
        return self.calendar.open_between(start, end) if self.calendar else end - start

    def after(self, start: int, span: int) -> int:
        """The first moment at which so much has been counted."""
        return self.calendar.add_open(start, span) if self.calendar else start + span


def ms(duration: timedelta) -> int:
    return round(duration.total_seconds() * 1000)


def identity(touch: Touch) -> tuple[str, str]:
    return touch.source, touch.event_id


def in_order(touch: Touch) -> tuple[int, str, str]:
    return touch.occurred_ms, touch.source, touch.event_id


def value(touch: Touch, name: str) -> str | None:
    """A field of the touch, else its property of that name."""
    found = getattr(touch, name, None)
    if found is None:
        found = (touch.details or {}).get(name)
    return None if found is None else str(found)


def values(touch: Touch, names: Iterable[str]) -> tuple[str | None, ...]:
    return tuple(value(touch, name) for name in names)


def equal(one: Touch, other: Touch, names: Sequence[str]) -> bool:
    """Whether both have all of the names, with equal values."""
    return None not in values(one, names) and values(one, names) == values(other, names)


def joined(parts: Iterable[str | None], by: str) -> str:
    return by.join(part for part in parts if part)


def is_in_scope(rule: Rule, anchor: Touch) -> bool:
    scope = rule.scope
    named = (
        (scope.sources, anchor.source),
        (scope.channels, anchor.channel),
        (scope.stores, value(anchor, "store_id")),
        (scope.segments, value(anchor, "segment")),
    )
    return all(not wanted or found in wanted for wanted, found in named)


def stepped(elapsed: int, first: int) -> int:
    """Of 0, first, twice first, four times first … the greatest that has been reached."""
    step = 0
    while elapsed >= (following := step * 2 or first):
        step = following
    return step


def end_of(rule: Rule, opened: int, end: int | None, now: int) -> int | None:
    """When a matter that opened is over: at its end, or when `resolve.after` has passed before that."""
    if rule.resolve.after is None:
        return end
    over = opened + ms(rule.resolve.after)
    if end is not None:
        return min(end, over)
    return over if now > over else None


def absence(
    rule: Rule, anchor: Touch, subject: str, evidence: list[Touch], clock: Clock, start: int, step: int, opened: int,
    resolver: Touch | None, end: int | None, now: int, limit: int,
) -> Found:  # fmt: skip
    """A matter that grows while nothing happens: in steps while it is open, to the millisecond when it is over."""
    resolved = end_of(rule, opened, end, now)
    if resolved is None:
        elapsed = stepped(clock.between(start, now), step)
        seen = max(opened, clock.after(start, elapsed))
    else:
        elapsed, seen = clock.between(start, resolved), resolved
    if resolver is not None and resolver.occurred_ms == resolved and resolver not in evidence:
        evidence = [*evidence, resolver]
    return Found(rule, anchor, subject, opened, seen, resolved, limit / 1000, elapsed / 1000, "seconds", evidence)
