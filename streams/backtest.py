"""Back-test: what one customer's touches come to under the rules in force and under changed ones. Pure.

Both go through the worker's own code: the touches are added in order and reviewed as of a time, and then the changed
rules are adopted, as a running worker does when a rule file changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, NamedTuple

from schemas.identifiers import customer_key
from streams.customer import Customer
from streams.episodes import Context
from streams.friction.plan import Plan
from streams.policy import Policy
from streams.promises import Restocks
from streams.rules.loading import RuleSet
from streams.rules.model import Rule
from streams.states import EpisodeState
from streams.stitching import StitchingRules
from streams.touch import Touch

Episodes = dict[str, EpisodeState]
"""Episodes that stand, by id."""
Difference = Literal["unchanged", "changed", "removed", "added"]
DIFFERENCES: tuple[Difference, ...] = ("added", "removed", "changed")
COMPARED = ("opened_ms", "severity", "resolved_ms", "actual")
"""What makes an episode another one than before."""


class Window(NamedTuple):
    """Episodes that opened from one moment to the other, both included, count; all is judged as of the last."""

    since_ms: int
    until_ms: int

    def holds(self, moment_ms: int) -> bool:
        """Whether it lies between them."""
        return self.since_ms <= moment_ms <= self.until_ms


@dataclass(frozen=True)
class RuleChange:
    """The rules in force and what becomes of them; `after` None: nothing does, and what they find is all.

    `calendars`: the names of those that were given anew.
    """

    before: RuleSet
    after: RuleSet | None = None
    calendars: frozenset[str] = frozenset()

    @cached_property
    def differing(self) -> frozenset[str]:
        """The rules that differ, by id; all of them where nothing changes."""
        before = _by_id(self.before)
        if self.after is None:
            return frozenset(before)
        after = _by_id(self.after)
        return frozenset(n for n in before.keys() | after.keys() if self._differs(before.get(n), after.get(n)))

    @cached_property
    def told(self) -> frozenset[str]:
        """The rules whose episodes may differ: those, and what follows friction where one of them finds friction."""
        sets = [rule_set for rule_set in (self.before, self.after) if rule_set is not None]
        rules = [rule for rule_set in sets for rule in _by_id(rule_set).values()]
        if not any(is_cause(rule) for rule in rules if rule.id in self.differing):
            return self.differing
        return self.differing | {rule.id for rule in rules if rule.is_sequel}

    @cached_property
    def plans(self) -> tuple[Plan, ...]:
        """The rules that must be judged for that, before and, where anything changes, after."""
        return tuple(self._plan(rule_set) for rule_set in (self.before, self.after) if rule_set is not None)

    def unprepared(self) -> RuleChange:
        """The same without anything that was computed of it, so that it can be sent to another process."""
        after = None if self.after is None else _unprepared(self.after)
        return RuleChange(_unprepared(self.before), after, self.calendars)

    def _differs(self, before: Rule | None, after: Rule | None) -> bool:
        calendars = {rule.calendar for rule in (before, after) if rule is not None}
        return before != after or not self.calendars.isdisjoint(filter(None, calendars))

    def _plan(self, rule_set: RuleSet) -> Plan:
        rules = _by_id(rule_set).values()
        follows = any(rule.is_sequel and rule.id in self.told for rule in rules)
        judged = [rule for rule in rules if rule.id in self.told or (follows and is_cause(rule))]
        return Plan(judged, rule_set.calendars)


def is_cause(rule: Rule) -> bool:
    """Whether other rules may begin with its episodes."""
    return rule.kind == "friction" and not rule.is_sequel


def _unprepared(rule_set: RuleSet) -> RuleSet:
    return replace(rule_set, rules=tuple(Rule.model_validate(rule.model_dump()) for rule in rule_set.rules))


def _by_id(rule_set: RuleSet) -> Mapping[str, Rule]:
    return {rule.id: rule for rule in rule_set.rules}


class Trial:
    """Lives customers through. `after` of what it returns is the same as `before` where nothing changes."""

    def __init__(self, change: RuleChange, stitching: StitchingRules, restocks: Restocks | None = None) -> None:
        self._told = change.told
        self._context = Context(restocks)
        self._policies = [Policy(stitching, plan) for plan in change.plans]

    def live(self, customer_name: str, touches: Iterable[Touch], now_ms: int) -> tuple[Episodes, Episodes]:
        """The episodes before and after, as of `now_ms`. `touches` are in order, and none is later than that."""
        customer = Customer(customer_key(customer_name), self._policies[0])
        add = customer.add
        for touch in touches:
            add(touch, touch.occurred_ms)
        customer.review(now_ms, self._context)
        before = self._standing(customer)
        if len(self._policies) == 1:
            return before, before
        customer.adopt(self._policies[1])
        customer.review(now_ms, self._context)
        return before, self._standing(customer)

    def _standing(self, customer: Customer) -> Episodes:
        states = customer.episodes.states
        return {i: s for i, s in states.items() if s.status != "withdrawn" and s.rule in self._told}


class Compared(NamedTuple):
    """One episode under both; one of the two may be None. `changed`: which of `COMPARED` differ."""

    before: EpisodeState | None
    after: EpisodeState | None
    changed: Sequence[str] = ()

    @property
    def shown(self) -> EpisodeState:
        """As it would be from now on, else as it was."""
        found = self.after or self.before
        assert found is not None, "it was found under one of the two"
        return found

    @property
    def difference(self) -> Difference:
        """What became of it."""
        if self.before is None:
            return "added"
        if self.after is None:
            return "removed"
        return "changed" if self.changed else "unchanged"


def compare(before: Episodes, after: Episodes, window: Window) -> Iterator[Compared]:
    """Every episode of the window. What is found under both counts where it opened before the change."""
    for episode_id, state in before.items():
        if window.holds(state.opened_ms):
            found = after.get(episode_id)
            yield Compared(state, found, () if found is None else _changes(state, found))
    for episode_id, state in after.items():
        if episode_id not in before and window.holds(state.opened_ms):
            yield Compared(None, state)


def _changes(before: EpisodeState, after: EpisodeState) -> Sequence[str]:
    return tuple(name for name in COMPARED if getattr(before, name) != getattr(after, name))
