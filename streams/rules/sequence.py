"""The primitive `sequence`, with the parameters that a rule file gives it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field, model_validator

from schemas.durations import to_milliseconds
from streams.rules.patterns import NO_SPAN, Part, Pattern, PatternLike, Span, TypeName, Within, check_names
from streams.rules.primitives import Names, Needs
from streams.rules.readers import Key, match, read_key
from streams.touch import Touch


class First(Part):
    """With what a sequence begins: the `count`-th of some touchpoints, or a friction episode of another rule."""

    types: tuple[TypeName, ...] = ()
    channels: tuple[str, ...] = ()
    where: str | None = None
    count: Annotated[int, Field(ge=1)] = 1
    within: Span | None = None
    episodes: Literal["friction"] | None = None

    @model_validator(mode="after")
    def _check(self) -> First:
        if (self.episodes is None) == (not self.types):
            raise ValueError("give exactly one of types and episodes")
        if (self.count > 1) != (self.within is not None):
            raise ValueError("`within` goes with a `count` of 2 or more, and only with that")
        _ = self.pattern
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
    within: Span


class Sequence(Part):
    """A, then B without C within a time; or A and no C within a time."""

    first: First
    after: Within | None = None
    then: PatternLike | None = None
    without: PatternLike | None = None
    within: Span
    match: tuple[str, ...] = ()
    alone: Alone | None = None

    @model_validator(mode="after")
    def _check(self) -> Sequence:
        if self.then is None and self.without is None:
            raise ValueError("give `then`, `without` or both")
        if self.first.episodes and (self.match or self.alone):
            raise ValueError("`match` and `alone` do not go with `episodes`")
        if self.after is not None and not self.first.episodes:
            raise ValueError("`after` goes with `episodes`, and only with that")
        for types in (self.first.types, *(each.types for each in (self.then, self.without) if each)):
            if types:
                check_names(self.match, types)
        if self.alone is not None:
            check_names(self.alone.same, self.first.types)
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
