"""What is found in the touches themselves: repeats, single touches that say enough, claims that are contradicted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from streams.rules.model import Rule
from streams.rules.primitives import Measure, Mismatch, Repeat
from streams.touch import Touch
from tests.streams.oracle_found import Found, end_of, equal, is_in_scope, joined, ms, value


@dataclass
class Chain:
    """Touches about one thing, and what ended it."""

    touches: list[Touch] = field(default_factory=list)
    opened: int | None = None
    measure: Measure | None = None
    ended: int | None = None

    def is_live(self, at: int, within: int) -> bool:
        return self.ended is None and at - self.touches[-1].occurred_ms <= within


def repeats(rule: Rule, touches: Sequence[Touch], now: int) -> Iterator[Found]:
    """Touches chained by what they share (earlier names first), each within the window of the one before."""
    repeat = rule.repeat
    assert repeat is not None
    chains: list[Chain] = []
    about: dict[tuple[str, str], Chain] = {}
    for touch in touches:
        names = [(name, found) for name in repeat.same if (found := value(touch, name))]
        near = [about[n] for n in names if n in about and about[n].is_live(touch.occurred_ms, ms(repeat.within))]
        for chain in near:
            is_resolved = rule.resolve.on is not None and rule.resolve.on.matches(touch)
            if is_resolved or (repeat.breaks is not None and repeat.breaks.matches(touch)):
                chain.ended = touch.occurred_ms
        if not repeat.pattern.matches(touch):
            continue
        standing = [chain for chain in near if chain.ended is None]
        if not standing and not is_in_scope(rule, touch):
            continue
        chain = standing[0] if standing else Chain()
        if not standing:
            chains.append(chain)
        chain.touches.append(touch)
        about.update(dict.fromkeys(names, chain))
        if chain.opened is None:
            chain.measure = next((m for m in repeat.measures if is_reached(m, chain.touches, ms(repeat.within))), None)
            chain.opened = touch.occurred_ms if chain.measure else None
    for chain in chains:
        if chain.opened is not None:
            yield of_chain(rule, repeat, chain, chain.opened, now)


def count(measure: Measure, touches: Sequence[Touch]) -> int:
    counted = [touch for touch in touches if not measure.types or touch.type in measure.types]
    if measure.distinct is None:
        return len(counted)
    return len({value(touch, measure.distinct) for touch in counted} - {None})


def is_reached(measure: Measure, touches: Sequence[Touch], within: int) -> bool:
    recent = [touch for touch in touches if touches[-1].occurred_ms - touch.occurred_ms <= within]
    return count(measure, recent) >= measure.count


def of_chain(rule: Rule, repeat: Repeat, chain: Chain, opened: int, now: int) -> Found:
    assert chain.measure is not None
    first, last = chain.touches[0], chain.touches[-1].occurred_ms
    quiet = last + ms(repeat.within)
    end = chain.ended if chain.ended is not None else quiet if now > quiet else None
    return Found(
        rule, first, next(found for name in repeat.same if (found := value(first, name))), opened, last,
        end_of(rule, opened, end, now), chain.measure.count - 1, count(chain.measure, chain.touches), repeat.unit,
        chain.touches,
    )  # fmt: skip


def thresholds(rule: Rule, touches: Sequence[Touch]) -> Iterator[Found]:
    """One touch that says enough by itself."""
    threshold = rule.threshold
    assert threshold is not None
    for touch in touches:
        if not threshold.pattern.matches(touch):
            continue
        measured = (touch.details or {}).get(threshold.measure) if threshold.measure else None
        at, unit = touch.occurred_ms, "points" if threshold.measure else "times"
        subject = touch.order_id or f"{touch.source}/{touch.event_id}"
        yield Found(
            rule, touch, subject, at, at, at, threshold.limit, 1 if measured is None else measured, unit, [touch]
        )


def mismatches(rule: Rule, touches: Sequence[Touch], now: int) -> Iterator[Found]:
    """Somebody said something, and soon after somebody contradicts it."""
    mismatch = rule.mismatch
    assert mismatch is not None
    standing: list[Touch] = []
    pairs: list[tuple[Touch, Touch]] = []
    for touch in touches:
        if mismatch.contradicted.matches(touch):
            claims = [claim for claim in standing if is_contradicted(mismatch, claim, touch)]
            pairs += [(claim, touch) for claim in claims[-1:]]
        if touch.type in mismatch.said.types and None not in [value(touch, name) for name in mismatch.match]:
            standing = [claim for claim in standing if not is_replaced(mismatch, claim, touch)]
            standing += [touch] if mismatch.said.matches(touch) else []
    for claim in dict.fromkeys(id(claim) for claim, _ in pairs):
        yield of_claim(rule, mismatch, [pair for pair in pairs if id(pair[0]) == claim], now)


def is_contradicted(mismatch: Mismatch, claim: Touch, touch: Touch) -> bool:
    is_same = all(value(claim, name) in (None, value(touch, name)) for name in mismatch.match_given)
    is_recent = touch.occurred_ms - claim.occurred_ms <= ms(mismatch.within)
    return equal(claim, touch, mismatch.match) and is_same and is_recent


def is_replaced(mismatch: Mismatch, claim: Touch, touch: Touch) -> bool:
    covers = all(value(touch, name) in (None, value(claim, name)) for name in mismatch.match_given)
    return equal(claim, touch, mismatch.match) and covers


def of_claim(rule: Rule, mismatch: Mismatch, pairs: Sequence[tuple[Touch, Touch]], now: int) -> Found:
    claim, first, last = pairs[0][0], pairs[0][1], pairs[-1][1].occurred_ms
    names = [value(claim, name) for name in mismatch.match] + [value(first, name) for name in mismatch.match_given]
    return Found(
        rule, claim, joined(names, "@"), first.occurred_ms, last, end_of(rule, first.occurred_ms, None, now),
        ms(mismatch.within) / 1000, (last - claim.occurred_ms) / 1000, "seconds",
        [claim, *(touch for _, touch in pairs)],
    )  # fmt: skip
