"""Which part of history a back-test must read for the rules that it judges. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

from schemas.durations import to_milliseconds
from streams.backtest import Window
from streams.friction.plan import Plan
from streams.promises import KINDS
from streams.rules.model import Rule
from streams.stitching import StitchingRules

CALENDAR_SLACK_MS = 14 * 86_400_000
"""So much longer than it says a span of open hours may be."""


class Share(NamedTuple):
    """A part of the customers, by hash: number `number` of `of`."""

    number: int = 0
    of: int = 1


@dataclass(frozen=True)
class Needs:
    """What of history must be read. Times are epoch milliseconds.

    `types` None: all, as journeys begin and end with any. `customers_with`: customers without one of these types cannot
    have an episode (empty: any can). `promises`: kinds of promises of which older ones may still matter; customers who
    have such are read from `promises_from_ms` on, all others from `from_ms`.
    """

    window: Window
    from_ms: int
    promises_from_ms: int
    keeps: Mapping[str, tuple[str, ...]]
    types: frozenset[str] | None
    customers_with: frozenset[str]
    promises: frozenset[str]

    @classmethod
    def of(cls, plans: Iterable[Plan], window: Window, stitching: StitchingRules) -> Needs:
        """What the rules of some plans need for the episodes of a window."""
        kept = tuple(plans)
        from_ms = window.since_ms - max(_reach_ms(plan) for plan in kept)
        promises = frozenset(kind for plan in kept for kind in plan.deadlines)
        has_sequels = any(plan.sequels for plan in kept)
        types = frozenset(name for plan in kept for name in plan.routes)
        return cls(
            window,
            from_ms,
            from_ms - stitching.max_gap_ms if promises else from_ms,
            _merge_keeps(kept),
            None if promises or has_sequels else types,
            _beginnings(kept) if promises and not has_sequels else frozenset(),
            promises,
        )


def _reach_ms(plan: Plan) -> int:
    """How long before an episode opens the touches may lie that decide over it."""
    rules = plan.rules.values()
    first_ms = max((_span_ms(rule) for rule in rules if not rule.is_sequel), default=0)
    return first_ms + max((_span_ms(rule) for rule in rules if rule.is_sequel), default=0)


def _span_ms(rule: Rule) -> int:
    # A chain that is cut off by the beginning must have fired before the window, as the whole one has.
    own_ms = rule.repeat.within_ms if rule.repeat is not None else 0
    alone_ms = rule.sequence.alone_ms if rule.sequence is not None else 0
    slack_ms = CALENDAR_SLACK_MS if rule.calendar is not None else 0
    return to_milliseconds(rule.lookback) + own_ms + alone_ms + slack_ms


def _merge_keeps(plans: Iterable[Plan]) -> dict[str, tuple[str, ...]]:
    kept: dict[str, set[str]] = {}
    for name, properties in chain.from_iterable(plan.keeps.items() for plan in plans):
        kept.setdefault(name, set()).update(properties)
    return {name: tuple(sorted(properties)) for name, properties in kept.items()}


def _beginnings(plans: Iterable[Plan]) -> frozenset[str]:
    """The types with which anything can begin."""
    found: set[str] = set()
    for plan in plans:
        for kind in KINDS:
            if kind.name in plan.deadlines:
                found.update(kind.opens)
        for name, routes in plan.routes.items():
            if any(begins and plan.makers[number][0].deadline is None for number, begins in routes):
                found.add(name)
    return frozenset(found)
