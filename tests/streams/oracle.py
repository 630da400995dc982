"""What must come out for a set of touchpoints: plain, slow lines from the definitions, not from the worker's code.

Here: customers, journeys and rows. `oracle_promises` has the promises, `oracle_rules` and what it imports the rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from streams.rules.calendars import Calendar
from streams.rules.model import Rule
from streams.touch import Touch, derive_id
from tests.streams.oracle_found import HOUR_MS, Found, identity, in_order
from tests.streams.oracle_promises import Owed, answer_wishes, apply
from tests.streams.oracle_rules import judge, severity

__all__ = ["HOUR_MS", "Expected", "Limits", "expect"]


@dataclass(frozen=True)
class Limits:
    """The boundaries of a journey, in milliseconds."""

    gap: int
    max_gap: int
    hold_open: bool = True


@dataclass
class Stretch:
    """One journey: its touches in order, and the promises made in it."""

    touches: list[Touch] = field(default_factory=list)
    promises: list[Owed] = field(default_factory=list)


@dataclass(frozen=True)
class Expected:
    """What the tables must show, row by row."""

    journeys: frozenset[tuple[object, ...]]
    promises: frozenset[tuple[object, ...]]
    episodes: frozenset[tuple[object, ...]]


def expect(
    seen: Iterable[tuple[str, Touch]],
    limits: Limits,
    rules: Sequence[Rule],
    now: int,
    facts: Iterable[Touch] = (),
    calendars: Mapping[str, Calendar] | None = None,
) -> Expected:
    """The journeys, promises and episodes of (customer key, touch) pairs in any order, as they stand at `now`.

    `facts` are of types restocked and stock_level, what they say in `details`; any order too.
    """
    known = [fact for fact in distinct(facts) if fact.occurred_ms <= now]
    journeys: set[tuple[object, ...]] = set()
    promises: set[tuple[object, ...]] = set()
    episodes: set[tuple[object, ...]] = set()
    for customer, touches in by_customer(seen).items():
        made, stretches = walk(touches, limits)
        answer_wishes(made, known)
        found = judge(rules, touches, made, now, calendars or {})
        name = customer.removeprefix("customer_id:")
        for stretch in stretches:
            mine = [episode for episode in found if episode.anchor in stretch.touches]
            journeys.add((name, *journey_row(customer, stretch, stretch is stretches[-1], mine, limits, now)))
            promises |= {(name, *promise_row(customer, stretch, owed, touches, now)) for owed in stretch.promises}
            episodes |= {(name, *episode_row(customer, stretch, episode, now)) for episode in mine}
    return Expected(frozenset(journeys), frozenset(promises), frozenset(episodes))


def by_customer(seen: Iterable[tuple[str, Touch]]) -> dict[str, list[Touch]]:
    kept: dict[str, list[Touch]] = {}
    for customer, touch in seen:
        kept.setdefault(customer, []).append(touch)
    return {customer: distinct(touches) for customer, touches in kept.items()}


def distinct(touches: Iterable[Touch]) -> list[Touch]:
    """In order, and of those with one identity only the earliest received."""
    versions: dict[tuple[str, str], Touch] = {}
    for touch in touches:
        known = versions.get(identity(touch))
        if known is None or touch.received_ms < known.received_ms:
            versions[identity(touch)] = touch
    return sorted(versions.values(), key=in_order)


def walk(touches: Sequence[Touch], limits: Limits) -> tuple[list[Owed], list[Stretch]]:
    """All promises, and the journeys in which they were made."""
    made: list[Owed] = []
    stretches: list[Stretch] = []
    for touch in touches:
        if not stretches or begins_anew(stretches[-1], touch.occurred_ms, limits):
            stretches.append(Stretch())
            for owed in made:
                # What a journey was held open for ends with it; a wish holds none, and goes on.
                owed.given_up = owed.given_up or (limits.hold_open and owed.kind != "restock")
        stretches[-1].touches.append(touch)
        known = len(made)
        apply(touch, made)
        stretches[-1].promises += made[known:]
    return made, stretches


def begins_anew(stretch: Stretch, at: int, limits: Limits) -> bool:
    distance = at - stretch.touches[-1].occurred_ms
    is_held = limits.hold_open and any(owed.holds(at) for owed in stretch.promises)
    return distance > limits.gap and (not is_held or distance > limits.max_gap)


def journey_id(customer: str, stretch: Stretch) -> str:
    return derive_id(customer, *identity(stretch.touches[0]))


def journey_row(
    customer: str, stretch: Stretch, is_last: bool, found: Sequence[Found], limits: Limits, now: int
) -> tuple[object, ...]:
    """Id, start, end, members, status, outcome, promises by status, friction, delight."""
    touches = stretch.touches
    is_open = is_last and not begins_anew(stretch, now, limits)
    statuses = [owed.status(now) for owed in stretch.promises]
    kinds = [episode.rule.kind for episode in found]
    return (
        journey_id(customer, stretch),
        touches[0].occurred_ms,
        touches[-1].occurred_ms,
        tuple(sorted(f"{touch.source}/{touch.event_id}" for touch in touches)),
        "open" if is_open else "closed",
        outcome(touches),
        tuple(statuses.count(status) for status in ("open", "kept", "late", "broken")),
        kinds.count("friction"),
        kinds.count("delight"),
    )


def outcome(touches: Sequence[Touch]) -> str:
    """A return outweighs an order, an order outweighs support, support outweighs browsing."""
    types = [touch.type for touch in touches]
    if {"returned", "parcel_returned"} & set(types):
        return "returned"
    if {"order_placed", "purchased"} & set(types):
        return "converted"
    verdicts = [resolution(touch) for touch in touches if resolution(touch) is not None]
    if verdicts or "contact_started" in types:
        return "resolved" if verdicts and verdicts[-1] else "unresolved"
    return "abandoned" if {"cart_updated", "checkout_started", "payment_failed"} & set(types) else "browsing"


def resolution(touch: Touch) -> bool | None:
    if touch.type == "contact_ended":
        return bool((touch.details or {}).get("resolved"))
    return {"complaint_opened": False, "complaint_resolved": True}.get(touch.type)


def promise_row(customer: str, stretch: Stretch, owed: Owed, touches: Sequence[Touch], now: int) -> tuple[object, ...]:
    """Id, journey, kind, subject, requested, first and latest promised, settled, status, responsible, parcels."""
    return (
        derive_id(customer, owed.kind, owed.subject, *identity(owed.opening)),
        journey_id(customer, stretch),
        owed.kind,
        owed.subject,
        owed.opening.occurred_ms,
        owed.times[0][1] if owed.times else 0,
        owed.latest or 0,
        owed.settled or 0,
        owed.status(now),
        owed.responsible(touches, now),
        owed.parcels,
        len(owed.delivered),
    )


def episode_row(customer: str, stretch: Stretch, found: Found, now: int) -> tuple[object, ...]:
    """Id, journey, rule, kind, severity, status, subject, opened, last seen, resolved, threshold, actual, …"""
    return (
        derive_id(customer, found.rule.id, *identity(found.anchor)),
        journey_id(customer, stretch),
        found.rule.id,
        found.rule.kind,
        severity(found, now),
        "open" if found.resolved is None else "resolved",
        found.subject,
        found.opened,
        found.seen,
        found.resolved or 0,
        found.threshold,
        found.actual,
        found.unit,
        tuple(f"{touch.source}/{touch.event_id}" for touch in found.evidence),
    )
