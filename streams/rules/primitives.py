"""The six primitives, with the parameters that a rule file gives them. Spans are milliseconds where a name says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import cached_property
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from schemas.catalogue import BY_NAME
from schemas.durations import to_milliseconds
from schemas.faults import FaultAt
from streams.promises import KINDS
from streams.rules.patterns import (
    NO_SPAN,
    Part,
    Pattern,
    PatternLike,
    SomeTypes,
    Span,
    Types,
    check_condition,
    check_name,
    check_names,
    nearest,
)
from streams.rules.readers import Key, TextReader, match, read_key, read_text
from streams.touch import Touch

Names = Annotated[tuple[str, ...], Field(min_length=1)]
Occasion = Literal["broken", "early", "kept", "lapsed"]
Needs = Iterator[tuple[Pattern, tuple[str, ...]]]
"""Patterns of touchpoints that a rule looks at, each with the names that it compares."""


class WaitCase(Part):
    """`begins` until one of `ends` on the same `match` values takes too long, or is over soon."""

    begins: PatternLike
    """The touchpoints with which a wait begins."""
    ends: Types
    """Types of touchpoints that end it."""
    match: Names
    """Fields or properties that beginning and end must have in common, all of them."""
    longer_than: Span | None = None
    """Fires once it lasts longer, also while it has not ended. Give this or `shorter_than`."""
    shorter_than: Span | None = None
    """Fires if it ends so soon: after exactly as long, too."""
    ended_where: str | None = None
    """With `shorter_than`: a condition on the end; a wait that ends otherwise is not found."""
    give_up_after: Span = timedelta(hours=12)
    """After so long nobody waits any more, whatever comes; longer than `longer_than`."""

    @model_validator(mode="after")
    def _check(self) -> WaitCase:
        if (self.longer_than is None) == (self.shorter_than is None):
            raise ValueError("give exactly one of longer_than and shorter_than")
        if self.longer_than is not None and self.longer_than >= self.give_up_after:
            raise FaultAt("it must be shorter than give_up_after, or the rule never fires", "longer_than")
        check_names(self.match, self.begins.types, "match")
        check_condition(self.ended_where, self.ends, "ended_where")
        return self

    @cached_property
    def ending(self) -> Pattern:
        """What ends the wait as the rule wants it."""
        return Pattern(types=self.ends, where=self.ended_where)

    @cached_property
    def is_beginning(self) -> Callable[[Touch], bool]:
        """Tells whether a wait begins with a touch."""
        return match(self.begins)

    @cached_property
    def read_key(self) -> Callable[[Touch], Key]:
        """Reads by what beginning and end belong together."""
        return read_key(self.match)

    @cached_property
    def sources(self) -> frozenset[str]:
        """The sources that usually tell of its end."""
        return frozenset(BY_NAME[name].source for name in self.ends)

    @cached_property
    def limit_ms(self) -> int:
        """The span in question."""
        return to_milliseconds(self.longer_than or self.shorter_than or NO_SPAN)

    @cached_property
    def give_up_ms(self) -> int:
        """After which nobody waits any more."""
        return to_milliseconds(self.give_up_after)


class Wait(Part):
    """A begins and B does not come in time, also while B has not come; or B comes soon."""

    cases: Annotated[tuple[WaitCase, ...], Field(min_length=1)]
    """One or more pairs of a beginning and its end, each with its limit."""

    def needs(self) -> Needs:
        for case in self.cases:
            yield case.begins, case.match
            yield case.ending, case.match

    @property
    def awaited(self) -> tuple[str, ...]:
        """The types whose absence it finds."""
        return tuple(name for case in self.cases for name in case.ends if case.longer_than is not None)

    @property
    def lookback(self) -> timedelta:
        return max(case.give_up_after for case in self.cases)


class Measure(Part):
    """What is counted: touchpoints of some types, or different values of a name."""

    count: Annotated[int, Field(ge=2)]
    """Fires at so many."""
    types: SomeTypes = ()
    """Counts touchpoints of these types only, which are among the rule's; by default all of them."""
    distinct: str | None = None
    """Counts the different values of this field or property, in place of touchpoints."""


class Repeat(Part):
    """Touchpoints about the same thing, each within `within` of the one before, until a measure is reached."""

    types: Types
    """Types of touchpoints that are chained."""
    where: str | None = None
    """A condition that must hold for each of them."""
    channels: tuple[str, ...] = ()
    """Only on these channels; by default on any."""
    same: Names
    """What they are about: fields or properties, of which one must be equal; the earlier ones say more."""
    within: Span
    """Each comes at most so long after the one before, and those that make it fire lie within as long."""
    measures: Annotated[tuple[Measure, ...], Field(min_length=1)]
    """What is counted, and from how many on it fires; the first to be reached counts."""
    breaks: PatternLike | None = None
    """Touchpoints about the same thing that end the count: what comes after them is counted anew."""
    unit: Literal["times", "contacts", "channels", "transfers", "failures"] = "times"
    """What the number is called in texts."""

    @model_validator(mode="after")
    def _check(self) -> Repeat:
        check_condition(self.where, self.types)
        check_names(self.same, self.types, "same")
        for number, measure in enumerate(self.measures):
            if measure.distinct is not None:
                check_name(measure.distinct, self.types, "measures", number, "distinct")
            for index, name in enumerate(measure.types):
                if name not in self.types:
                    place = ("measures", number, "types", index)
                    raise FaultAt(f"{name!r} is not among the rule's types: {', '.join(self.types)}", *place)
        return self

    @cached_property
    def pattern(self) -> Pattern:
        """The touchpoints that are chained."""
        return Pattern(types=self.types, where=self.where, channels=self.channels)

    @cached_property
    def within_ms(self) -> int:
        return to_milliseconds(self.within)

    @cached_property
    def is_meant(self) -> Callable[[Touch], bool]:
        """Tells whether a touch is chained."""
        return match(self.pattern)

    @cached_property
    def is_break(self) -> Callable[[Touch], bool]:
        """Tells whether a touch breaks the chain."""
        return match(self.breaks)

    @cached_property
    def read_subjects(self) -> tuple[tuple[str, TextReader], ...]:
        """Reads what a touch is about, by name."""
        return tuple((name, read_text(name)) for name in self.same)

    def needs(self) -> Needs:
        yield self.pattern, (*self.same, *(measure.distinct for measure in self.measures if measure.distinct))
        if self.breaks is not None:
            yield self.breaks, self.same

    @property
    def awaited(self) -> tuple[str, ...]:
        return ()

    @property
    def lookback(self) -> timedelta:
        # A chain that has not fired may reach back as often as it may go on without firing.
        return self.within * (max(measure.count for measure in self.measures) - 1)


def _check_promise(name: str) -> str:
    known = [kind.name for kind in KINDS]
    if name not in known:
        raise ValueError(f"there is no promise kind {name!r}; known: {', '.join(known)}{nearest(name, known)}")
    return name


class Deadline(Part):
    """What became of a promise: `broken`, kept `early`, `kept` after trouble, or `lapsed` unused."""

    promise: Annotated[str, AfterValidator(_check_promise)]
    """The kind of promise."""
    when: Occasion = "broken"
    """`broken`: its time passes. `early`: settled well before. `kept`: in time after trouble. `lapsed`: unused."""
    by: Span | None = None
    """With `when: early`, and only then: settled at least so long before its time."""
    after: PatternLike | None = None
    """With `when: kept`, and only then: the trouble on the same subject that came before."""
    unless: PatternLike | None = None
    """With `when: lapsed`, and only then: a reminder on the same subject that excuses it."""

    @model_validator(mode="after")
    def _check(self) -> Deadline:
        for name, occasion in (("by", "early"), ("after", "kept"), ("unless", "lapsed")):
            if (getattr(self, name) is not None) != (self.when == occasion):
                place = "when" if self.when == occasion else name
                raise FaultAt(f"`{name}` goes with `when: {occasion}`, and only with that", place)
        return self

    @cached_property
    def by_ms(self) -> int:
        return to_milliseconds(self.by or NO_SPAN)

    @property
    def subject(self) -> str:
        """The name that holds the promise's subject."""
        return next(kind.subject for kind in KINDS if kind.name == self.promise)

    @property
    def beside(self) -> Pattern | None:
        """The touchpoints that it looks at besides the promise."""
        return self.after or self.unless

    def needs(self) -> Needs:
        if self.beside is not None:
            yield self.beside, (self.subject,)

    @property
    def awaited(self) -> tuple[str, ...]:
        kind = next(kind for kind in KINDS if kind.name == self.promise)
        return tuple(sorted(kind.settles)) if self.when == "broken" else ()

    @property
    def lookback(self) -> timedelta:
        return NO_SPAN


class Threshold(Part):
    """One touchpoint that says enough by itself."""

    types: Types
    """Types of touchpoints, each of which is an episode."""
    where: str | None = None
    """A condition that must hold."""
    channels: tuple[str, ...] = ()
    """Only on these channels; by default on any."""
    measure: str | None = None
    """The field or property that texts name as `{actual}`; it decides nothing."""
    limit: float = 0
    """The number that texts name as `{threshold}`; what decides is `where`."""

    @model_validator(mode="after")
    def _check(self) -> Threshold:
        check_condition(self.where, self.types)
        if self.measure:
            check_name(self.measure, self.types, "measure")
        return self

    @cached_property
    def pattern(self) -> Pattern:
        return Pattern(types=self.types, where=self.where, channels=self.channels)

    def needs(self) -> Needs:
        yield self.pattern, (self.measure,) if self.measure else ()

    @property
    def awaited(self) -> tuple[str, ...]:
        return ()

    @property
    def lookback(self) -> timedelta:
        return NO_SPAN


class Mismatch(Part):
    """One source said something, and soon after another contradicts it."""

    said: PatternLike
    """The touchpoints that claim something."""
    contradicted: PatternLike
    """The touchpoints that show the opposite."""
    match: Names
    """Fields or properties that both must have in common, all of them."""
    match_given: tuple[str, ...] = ()
    """The same, but equal only where the claim names it: a claim that names no store holds for all of them."""
    within: Span
    """The contradiction comes at most so long after the claim."""

    @cached_property
    def read_key(self) -> Callable[[Touch], Key]:
        """Reads what a claim is about."""
        return read_key(self.match)

    @cached_property
    def read_given(self) -> Callable[[Touch], Key]:
        """Reads what a claim may name besides."""
        return read_key(self.match_given)

    @cached_property
    def is_said(self) -> Callable[[Touch], bool]:
        """Tells whether a touch is a claim."""
        return match(self.said)

    @cached_property
    def is_contradiction(self) -> Callable[[Touch], bool]:
        """Tells whether a touch contradicts claims."""
        return match(self.contradicted)

    @model_validator(mode="after")
    def _check(self) -> Mismatch:
        for types in (self.said.types, self.contradicted.types):
            check_names(self.match, types, "match")
            check_names(self.match_given, types, "match_given")
        return self

    @cached_property
    def within_ms(self) -> int:
        return to_milliseconds(self.within)

    def needs(self) -> Needs:
        yield self.said, (*self.match, *self.match_given)
        yield self.contradicted, (*self.match, *self.match_given)

    @property
    def awaited(self) -> tuple[str, ...]:
        return ()

    @property
    def lookback(self) -> timedelta:
        return self.within
