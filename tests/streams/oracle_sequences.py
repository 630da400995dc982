"""Sequences: something, then something else without a third, or without which nothing came within a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from streams.rules.model import Rule
from streams.rules.patterns import Pattern
from streams.rules.sequence import First
from streams.rules.sequence import Sequence as SequenceRule
from streams.touch import Touch
from tests.streams.oracle_found import (
    Clock,
    Found,
    absence,
    end_of,
    equal,
    in_order,
    is_in_scope,
    joined,
    ms,
    value,
    values,
)


@dataclass
class Start:
    """A: what begins a sequence. The clock runs from `at`; what comes later is in `later`."""

    anchor: Touch
    subject: str
    evidence: list[Touch]
    at: int
    later: list[Touch]
    alone_until: int = 0


def after_touches(rule: Rule, touches: Sequence[Touch], now: int, clock: Clock) -> Iterator[Found]:
    """Sequences that begin with touches."""
    sequence = rule.sequence
    assert sequence is not None
    for group in groups(rule, sequence, touches):
        first, complete = group[0], group[sequence.first.count - 1]
        alone_until = 0
        if sequence.alone is not None:
            if not is_alone(sequence, first, touches):
                continue
            alone_until = first.occurred_ms + ms(sequence.alone.within) + 1
        related = [touch for touch in touches if not sequence.match or equal(touch, first, sequence.match)]
        later = [touch for touch in related if in_order(touch) > in_order(complete)]
        start = Start(first, subject_of(sequence, first), group, complete.occurred_ms, later, alone_until)
        yield from complete_sequence(rule, sequence, start, now, clock)


def after_episodes(
    rule: Rule, frictions: Sequence[Found], touches: Sequence[Touch], now: int, clock: Clock
) -> Iterator[Found]:
    """Sequences that begin with the friction that other rules found."""
    sequence = rule.sequence
    assert sequence is not None
    for friction in frictions:
        at = friction.opened
        before = [touch for touch in touches if touch.occurred_ms <= at]
        after = sequence.after
        if after and not any(t.type in after.types and at - t.occurred_ms <= ms(after.within) for t in before):
            continue
        later = [touch for touch in touches if touch.occurred_ms > at]
        start = Start(friction.anchor, friction.subject, friction.evidence, at, later)
        yield from complete_sequence(rule, sequence, start, now, clock)


def groups(rule: Rule, sequence: SequenceRule, touches: Sequence[Touch]) -> list[list[Touch]]:
    """The touches that make A, each time it is complete; those that follow them soon belong to it too."""
    first = sequence.first
    found: list[list[Touch]] = []
    running: dict[tuple[str | None, ...], list[Touch]] = {}
    for touch in touches:
        key = values(touch, sequence.match)
        if matches(sequence.without, touch):
            running.pop(key, None)
        if not matches(first.pattern, touch) or None in key:
            continue
        group = running.get(key)
        if group is None or not joins(first, group, touch):
            if not is_in_scope(rule, touch):
                continue
            group = running[key] = []
            found.append(group)
        group.append(touch)
    return [group for group in found if len(group) >= first.count]


def joins(first: First, group: Sequence[Touch], touch: Touch) -> bool:
    return first.within is not None and touch.occurred_ms - group[-1].occurred_ms <= ms(first.within)


def matches(pattern: Pattern | None, touch: Touch) -> bool:
    return pattern is not None and pattern.matches(touch)


def is_alone(sequence: SequenceRule, first: Touch, touches: Sequence[Touch]) -> bool:
    """Whether nothing else of the kind about the same thing lies near."""
    alone = sequence.alone
    assert alone is not None
    others = [touch for touch in touches if touch.type in sequence.first.types and touch is not first]
    near = [touch for touch in others if abs(touch.occurred_ms - first.occurred_ms) <= ms(alone.within)]
    return not any(
        value(first, name) and value(touch, name) == value(first, name) for touch in near for name in alone.same
    )


def subject_of(sequence: SequenceRule, first: Touch) -> str:
    shared = [value(first, name) for name in sequence.alone.same] if sequence.alone else []
    names = [joined(values(first, sequence.match), "/"), *shared, first.order_id]
    return next((name for name in names if name), f"{first.source}/{first.event_id}")


def complete_sequence(rule: Rule, sequence: SequenceRule, start: Start, now: int, clock: Clock) -> Iterator[Found]:
    """What becomes of one A by `now`."""
    in_time = [t for t in start.later if clock.between(start.at, t.occurred_ms) <= ms(sequence.within)]
    without = next((touch for touch in in_time if matches(sequence.without, touch)), None)
    if sequence.then is None:
        if without is None:
            yield from nothing_came(rule, sequence, start, now, clock)
        return
    then = next((touch for touch in in_time if matches(sequence.then, touch)), None)
    if then is not None and (without is None or in_order(then) <= in_order(without)):
        yield from something_came(rule, sequence, start, then, now, clock)


def nothing_came(rule: Rule, sequence: SequenceRule, start: Start, now: int, clock: Clock) -> Iterator[Found]:
    within = ms(sequence.within)
    opened = max(clock.after(start.at, within + 1), start.alone_until)
    if opened > now:
        return
    after = [touch for touch in start.later if touch.occurred_ms >= opened]
    resolver = next((touch for touch in after if matches(rule.resolve.on, touch)), None)
    end = resolver.occurred_ms if resolver else None
    yield absence(
        rule, start.anchor, start.subject, start.evidence, clock, start.at, within, opened, resolver, end, now, within
    )


def something_came(
    rule: Rule, sequence: SequenceRule, start: Start, then: Touch, now: int, clock: Clock
) -> Iterator[Found]:
    opened = max(then.occurred_ms, start.alone_until)
    if opened > now:
        return
    resolved: int | None = opened
    made = [touch for touch in start.evidence if sequence.first.episodes or in_order(touch) < in_order(then)]
    evidence = made if then in made else [*made, then]
    if rule.resolve.on is not None or rule.resolve.after is not None:
        after = [t for t in start.later if in_order(t) > in_order(then) and t.occurred_ms >= opened]
        resolver = next((touch for touch in after if matches(rule.resolve.on, touch)), None)
        resolved = end_of(rule, opened, resolver.occurred_ms if resolver else None, now)
        if resolver is not None and resolver.occurred_ms == resolved and resolver not in evidence:
            evidence.append(resolver)
    took = clock.between(start.at, then.occurred_ms)
    yield Found(
        rule, start.anchor, start.subject, opened, opened, resolved, ms(sequence.within) / 1000, took / 1000,
        "seconds", evidence,
    )  # fmt: skip
