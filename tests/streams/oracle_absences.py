"""Waits and deadlines: what takes too long, or not as long as promised."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from streams.rules.model import Rule
from streams.rules.primitives import WaitCase
from streams.touch import Touch
from tests.streams.oracle_found import HOUR_MS, Clock, Found, absence, end_of, in_order, joined, ms, value, values
from tests.streams.oracle_promises import FOREVER, KINDS, Owed


def waits(rule: Rule, touches: Sequence[Touch], now: int, clock: Clock) -> Iterator[Found]:
    """Somebody waits from a beginning until the next end, or the next beginning, with the same keys; or gives up."""
    assert rule.wait is not None
    for case in rule.wait.cases:
        for place, began in enumerate(touches):
            if not case.begins.matches(began):
                continue
            ended = next((touch for touch in touches[place + 1 :] if stops(case, began, touch)), None)
            if ended is not None and clock.between(began.occurred_ms, ended.occurred_ms) > ms(case.give_up_after):
                ended = None
            subject = joined(values(began, case.match), "/")
            if case.longer_than is not None:
                yield from long_wait(rule, case, began, ended, subject, now, clock)
            elif ended is not None and case.ending.matches(ended):
                yield from short_wait(rule, case, began, ended, subject, clock)


def stops(case: WaitCase, began: Touch, touch: Touch) -> bool:
    is_one = touch.type in case.ends or case.begins.matches(touch)
    return is_one and values(touch, case.match) == values(began, case.match)


def long_wait(
    rule: Rule, case: WaitCase, began: Touch, ended: Touch | None, subject: str, now: int, clock: Clock
) -> Iterator[Found]:
    assert case.longer_than is not None
    start, limit, gives_up = began.occurred_ms, ms(case.longer_than), ms(case.give_up_after)
    end = ended.occurred_ms if ended else None
    if end is None and clock.between(start, now) > gives_up:
        end = clock.after(start, gives_up)
    if clock.between(start, now if end is None else end) > limit:
        opened = clock.after(start, limit + 1)
        yield absence(rule, began, subject, [began], clock, start, limit, opened, ended, end, now, limit)


def short_wait(rule: Rule, case: WaitCase, began: Touch, ended: Touch, subject: str, clock: Clock) -> Iterator[Found]:
    assert case.shorter_than is not None
    waited, at, limit = clock.between(began.occurred_ms, ended.occurred_ms), ended.occurred_ms, ms(case.shorter_than)
    if waited <= limit:
        yield Found(rule, began, subject, at, at, at, limit / 1000, waited / 1000, "seconds", [began, ended])


def deadlines(rule: Rule, touches: Sequence[Touch], made: Sequence[Owed], now: int, clock: Clock) -> Iterator[Found]:
    """What became of the promises of one kind, as the rule wants to know it."""
    assert rule.deadline is not None
    occasions = {"broken": broken, "early": early, "kept": kept, "lapsed": lapsed}
    for owed in made:
        if owed.kind == rule.deadline.promise:
            yield from occasions[rule.deadline.when](rule, owed, touches, now, clock)


def broken(rule: Rule, owed: Owed, touches: Sequence[Touch], now: int, clock: Clock) -> Iterator[Found]:
    """Its time passed while it was owed."""
    opened, due = owed.first_passed(clock)
    if opened <= now:
        yield absence(
            rule, owed.opening, owed.subject, [owed.opening], clock, due, HOUR_MS, opened, owed.settling, owed.settled,
            now, 0,
        )  # fmt: skip


def early(rule: Rule, owed: Owed, touches: Sequence[Touch], now: int, clock: Clock) -> Iterator[Found]:
    """It was fulfilled well before its time."""
    assert rule.deadline is not None and rule.deadline.by is not None
    if owed.settling is None or owed.withdrawn or owed.latest is None:
        return
    at, by = owed.settling.occurred_ms, ms(rule.deadline.by)
    if clock.between(at, owed.latest) >= by:
        yield settled(rule, owed, by, clock.between(at, owed.latest), [])


def kept(rule: Rule, owed: Owed, touches: Sequence[Touch], now: int, clock: Clock) -> Iterator[Found]:
    """It was fulfilled in time although something had happened to it in between."""
    assert rule.deadline is not None and rule.deadline.after is not None
    if owed.settling is None or owed.withdrawn or owed.latest is None or owed.settling.occurred_ms > owed.latest:
        return
    between = [t for t in touches if in_order(owed.opening) < in_order(t) < in_order(owed.settling)]
    trouble = [touch for touch in between if rule.deadline.after.matches(touch) and concerns(touch, owed)]
    if trouble:
        yield settled(rule, owed, 0, clock.between(owed.settling.occurred_ms, owed.latest), trouble)


def concerns(touch: Touch, owed: Owed) -> bool:
    """Whether a touch names what was promised, or names nothing."""
    name = KINDS[owed.kind].subject
    return value(touch, name) in (None, value(owed.opening, name))


def settled(rule: Rule, owed: Owed, threshold: int, saved: int, between: Sequence[Touch]) -> Found:
    assert owed.settling is not None
    at, evidence = owed.settling.occurred_ms, [owed.opening, *between, owed.settling]
    return Found(rule, owed.opening, owed.subject, at, at, at, threshold / 1000, saved / 1000, "seconds", evidence)


def lapsed(rule: Rule, owed: Owed, touches: Sequence[Touch], now: int, clock: Clock) -> Iterator[Found]:
    """Its time passed, or it was called off, before it was made use of; and nobody had reminded the customer."""
    assert rule.deadline is not None and rule.deadline.unless is not None and owed.latest is not None
    opened, expired = max(owed.latest + 1, owed.times[-1][0]), None
    until = opened, "", ""
    if owed.settling is not None and owed.settling.type == "hold_expired":
        expired = owed.settling
        if expired.occurred_ms < opened:
            opened, until = expired.occurred_ms, in_order(expired)
    collected = owed.settling if owed.settling is not None and expired is None else None
    if opened > now or (collected is not None and collected.occurred_ms < opened):
        return
    before = [touch for touch in touches if in_order(owed.opening) < in_order(touch) < until]
    if any(rule.deadline.unless.matches(touch) and concerns(touch, owed) for touch in before):
        return
    resolved = end_of(rule, opened, collected.occurred_ms if collected else None, now)
    evidence = [owed.opening, *([expired] if expired else [])]
    yield Found(rule, owed.opening, owed.subject, opened, opened, resolved, 0, 0, "seconds", evidence)


__all__ = ["FOREVER", "deadlines", "waits"]
