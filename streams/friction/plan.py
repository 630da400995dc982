"""Rules made ready: which fold looks at which type, which properties are kept, how far back evidence goes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property, partial

from schemas.durations import to_milliseconds
from streams.friction.deadlines import DeadlineFold
from streams.friction.matter import Clock, Fold
from streams.friction.mismatches import MismatchFold
from streams.friction.points import PointFold
from streams.friction.repeats import RepeatFold
from streams.friction.sequences import SequenceFold
from streams.friction.waits import WaitFold
from streams.rules.calendars import Calendar
from streams.rules.model import Rule
from streams.rules.patterns import properties_of
from streams.touch import DETAILS

MakeFold = Callable[[], Fold]


class Plan:
    """The rules that are switched on, by id, and the folds that they need.

    `routes`: the folds, by number, that look at a type, and whether something can begin with it: a fold in which
    nothing has begun need not see the rest. `deadlines`: the numbers of folds that judge a kind of promise;
    `beside`: the kinds of promises over which a type has a say besides those types that make, move and settle them.
    """

    def __init__(self, rules: Iterable[Rule] = (), calendars: Mapping[str, Calendar] | None = None) -> None:
        self.rules = {rule.id: rule for rule in sorted(rules, key=lambda rule: rule.id) if rule.enabled}
        self.sequels = tuple(rule for rule in self.rules.values() if rule.is_sequel)
        self.makers: list[tuple[Rule, MakeFold]] = []
        self.routes: dict[str, tuple[tuple[int, bool], ...]] = {}
        self.deadlines: dict[str, tuple[int, ...]] = {}
        self.beside: dict[str, frozenset[str]] = {}
        self._calendars = calendars or {}
        for rule in self.rules.values():
            for make, begins, types in self._folds_of(rule):
                self._add(rule, make, begins, types)

    def clock_of(self, rule: Rule) -> Clock:
        """How time runs for a rule. Raises KeyError for a calendar that is not there."""
        return Clock(self._calendars[rule.calendar] if rule.calendar is not None else None)

    def _add(self, rule: Rule, make: MakeFold, begins: Iterable[str], types: Iterable[str]) -> None:
        number = len(self.makers)
        self.makers.append((rule, make))
        for name in dict.fromkeys((*begins, *types)):
            self.routes[name] = (*self.routes.get(name, ()), (number, name in begins))
        if rule.deadline is not None:
            kind = rule.deadline.promise
            self.deadlines[kind] = (*self.deadlines.get(kind, ()), number)
            for name in begins:
                self.beside[name] = self.beside.get(name, frozenset()) | {kind}

    def _folds_of(self, rule: Rule) -> Iterator[tuple[MakeFold, Iterable[str], Iterable[str]]]:
        """How each fold is made, the types with which something begins in it, and all that it looks at."""
        clock, types = self.clock_of(rule), tuple(rule.keeps)
        if rule.wait is not None:
            for case in rule.wait.cases:
                yield partial(WaitFold, rule, case, clock), case.begins.types, case.ends
        elif rule.repeat is not None:
            yield partial(RepeatFold, rule, rule.repeat), rule.repeat.types, types
        elif rule.deadline is not None:
            yield partial(DeadlineFold, rule, rule.deadline, clock), types, types
        elif rule.sequence is not None and not rule.is_sequel:
            yield partial(SequenceFold, rule, rule.sequence, clock), rule.sequence.first.types, types
        elif rule.threshold is not None:
            yield partial(PointFold, rule, rule.threshold), types, types
        elif rule.mismatch is not None:
            yield partial(MismatchFold, rule, rule.mismatch), rule.mismatch.said.types, types

    @cached_property
    def numbers(self) -> dict[str, list[int]]:
        """The folds of each rule, by number."""
        numbers: dict[str, list[int]] = {}
        for number, (rule, _) in enumerate(self.makers):
            numbers.setdefault(rule.id, []).append(number)
        return numbers

    @cached_property
    def keeps(self) -> dict[str, tuple[str, ...]]:
        """The types whose touches are signals, with the properties that are kept of each."""
        kept = {name: set(names) for name, names in DETAILS.items()}
        for rule in self.rules.values():
            for name, properties in rule.keeps.items():
                kept.setdefault(name, set()).update(properties)
                if rule.scope.segments:
                    kept[name].add("segment")
                if rule.scope.stores and "store_id" in properties_of(name):
                    kept[name].add("store_id")
        return {name: tuple(sorted(names - _FIELDS)) for name, names in kept.items()}

    @cached_property
    def lookback_ms(self) -> int:
        """How long after its end a journey with signals is kept for the rules' sake."""
        return max((to_milliseconds(rule.lookback) for rule in self.rules.values()), default=0)


_FIELDS = frozenset({"channel", "order_id", "case_id", "agent_id"})
