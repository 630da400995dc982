"""The primitive `sequence`, with the parameters that a rule file gives it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import cached_property
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from schemas.durations import to_milliseconds
from schemas.faults import FaultAt
from streams.rules.patterns import (
    NO_SPAN,
    Part,
    Pattern,
    PatternLike,
    SomeTypes,
    Span,
    Within,
    as_pattern,
    check_condition,
    check_names,
)
from streams.rules.primitives import Names, Needs
from streams.rules.readers import Key, match, read_key
from streams.touch import Touch


class First(Part):
    """With what a sequence begins: the `count`-th of some touchpoints, or a friction episode of another rule."""

    types: SomeTypes = ()
    """Types of touchpoints. Give these or `episodes`."""
    channels: tuple[str, ...] = ()
    """Only on these channels; by default on any."""
    where: str | None = None
    """A condition that must hold."""
    count: Annotated[int, Field(ge=1)] = 1
    """It begins with so many of them."""
    within: Span | None = None
    """With a `count` of 2 or more, and only then: all of them within this time."""
    episodes: Literal["friction"] | None = None
    """Begins with a friction episode of any other rule, in place of touchpoints."""

    @model_validator(mode="after")
    def _check(self) -> First:
        if (self.episodes is None) == (not self.types):
            raise ValueError("give exactly one of types and episodes")
        if (self.count > 1) != (self.within is not None):
            place = "count" if self.within is None else "within"
            raise FaultAt("`within` goes with a `count` of 2 or more, and only with that", place)
        check_condition(self.where, self.types)
        return self

    @cached_property
    def pattern(self) -> Pattern | None:
        if not self.types:
            return None
        return Pattern(types=self.types, where=self.where, channels=self.channels)

    @cached_property
    def within_ms(self) -> int:
        return to_milliseconds(self.within or NO_SPAN)


class Alone(Part):
    """Nothing else of the kind about the same thing within so long, before or after."""

    same: Names
    """Fields or properties, of which one is equal."""
    within: Span
    """So long before and after."""


class Sequence(Part):
    """A, then B without C within a time; or A and no C within a time."""

    first: Annotated[First, BeforeValidator(as_pattern)]
    """A: with what it begins."""
    after: Within | None = None
    """With `episodes`, and only then: touchpoints that came shortly before the episode opened."""
    then: PatternLike | None = None
    """B: fires when it comes in time. Give this, `without` or both."""
    without: PatternLike | None = None
    """C: without B it fires when C has not come in time; with B, when C did not come in between."""
    within: Span
    """How long after A."""
    match: tuple[str, ...] = ()
    """Fields or properties that A, B and C must have in common, all of them."""
    alone: Alone | None = None
    """Only if nothing else like A about the same thing came so long before or after."""

    @model_validator(mode="after")
    def _check(self) -> Sequence:
        if self.then is None and self.without is None:
            raise ValueError("give `then`, `without` or both")
        if self.first.episodes and (self.match or self.alone):
            place = "match" if self.match else "alone"
            raise FaultAt("`match` and `alone` do not go with `episodes`", place)
        if self.after is not None and not self.first.episodes:
            raise FaultAt("`after` goes with `episodes`, and only with that", "after")
        for types in (self.first.types, *(each.types for each in (self.then, self.without) if each)):
            if types:
                check_names(self.match, types, "match")
        if self.alone is not None:
            check_names(self.alone.same, self.first.types, "alone", "same")
        return self

    @cached_property
    def within_ms(self) -> int:
        return to_milliseconds(self.within)

    @cached_property
    def read_key(self) -> Callable[[Touch], Key]:
        """Reads by what A, B and C belong together."""
        return read_key(self.match)

    @cached_property
    def is_first(self) -> Callable[[Touch], bool]:
        """Tells whether a touch is an A."""
        return match(self.first.pattern)

    @cached_property
    def is_then(self) -> Callable[[Touch], bool]:
        """Tells whether a touch is a B."""
        return match(self.then)

    @cached_property
    def is_without(self) -> Callable[[Touch], bool]:
        """Tells whether a touch is a C."""
        return match(self.without)

    @cached_property
    def alone_ms(self) -> int:
        return to_milliseconds(self.alone.within) if self.alone else 0

    def needs(self) -> Needs:
        if self.first.pattern is not None:
            yield self.first.pattern, (*self.match, *(self.alone.same if self.alone else ()))
        for pattern in (self.then, self.without):
            if pattern is not None:
                yield pattern, self.match

    @property
    def awaited(self) -> tuple[str, ...]:
        return self.without.types if self.then is None and self.without is not None else ()

    @property
    def lookback(self) -> timedelta:
        spans = [self.within, *(each.within for each in (self.alone, self.after) if each is not None)]
        return max(spans) + (self.first.within or NO_SPAN) * (self.first.count - 1)
