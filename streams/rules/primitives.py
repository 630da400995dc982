"""The six primitives, with the parameters that a rule file gives them. Spans are milliseconds where a name says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import cached_property
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from schemas.catalogue import BY_NAME
from schemas.durations import to_milliseconds
from streams.promises import KINDS
from streams.rules.patterns import NO_SPAN, Part, Pattern, PatternLike, Span, TypeName, check_names, nearest
from streams.rules.readers import Key, TextReader, match, read_key, read_text
from streams.touch import Touch

Names = Annotated[tuple[str, ...], Field(min_length=1)]
Occasion = Literal["broken", "early", "kept", "lapsed"]
Needs = Iterator[tuple[Pattern, tuple[str, ...]]]
"""Patterns of touchpoints that a rule looks at, each with the names that it compares."""


class WaitCase(Part):
    """`begins` until one of `ends` on the same `match` values takes too long, or is over soon."""

    begins: PatternLike
    ends: Annotated[tuple[TypeName, ...], Field(min_length=1)]
    match: Names
    longer_than: Span | None = None
    shorter_than: Span | None = None
    ended_where: str | None = None
    give_up_after: Span = timedelta(hours=12)

    @model_validator(mode="after")
    def _check(self) -> WaitCase:
        if (self.longer_than is None) == (self.shorter_than is None):
            raise ValueError("give exactly one of longer_than and shorter_than")
        if self.longer_than is not None and self.longer_than >= self.give_up_after:
            raise ValueError("longer_than must be shorter than give_up_after, or the rule never fires")
        check_names(self.match, self.begins.types)
        _ = self.ending
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
    types: tuple[TypeName, ...] = ()
    distinct: str | None = None


class Repeat(Part):
    """Touchpoints about the same thing, each within `within` of the one before, until a measure is reached."""

    types: Annotated[tuple[TypeName, ...], Field(min_length=1)]
    where: str | None = None
    channels: tuple[str, ...] = ()
    same: Names
    within: Span
    measures: Annotated[tuple[Measure, ...], Field(min_length=1)]
    breaks: PatternLike | None = None
    unit: Literal["times", "contacts", "channels", "transfers", "failures"] = "times"

    @model_validator(mode="after")
    def _check(self) -> Repeat:
        _ = self.pattern
        check_names(self.same, self.types)
        for measure in self.measures:
            check_names([measure.distinct] if measure.distinct else [], self.types)
            for name in measure.types:
                if name not in self.types:
                    raise ValueError(f"measures: {name!r} is not among the rule's types")
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
    when: Occasion = "broken"
    by: Span | None = None
    after: PatternLike | None = None
    unless: PatternLike | None = None

    @model_validator(mode="after")
    def _check(self) -> Deadline:
        for name, occasion in (("by", "early"), ("after", "kept"), ("unless", "lapsed")):
            if (getattr(self, name) is not None) != (self.when == occasion):
                raise ValueError(f"`{name}` goes with `when: {occasion}`, and only with that")
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

    types: Annotated[tuple[TypeName, ...], Field(min_length=1)]
    where: str | None = None
    channels: tuple[str, ...] = ()
    measure: str | None = None
    limit: float = 0

    @model_validator(mode="after")
    def _check(self) -> Threshold:
        _ = self.pattern
        check_names([self.measure] if self.measure else [], self.types)
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
    contradicted: PatternLike
    match: Names
    match_given: tuple[str, ...] = ()
    within: Span

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
            check_names((*self.match, *self.match_given), types)
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
