"""What a rule file says of touchpoints: which types, on which channels, under which condition, and by which names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from functools import cached_property
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from schemas.catalogue import BY_NAME
from schemas.durations import Duration
from schemas.hints import did_you_mean
from streams.rules.conditions import Condition, compile_condition
from streams.touch import Touch

FIELDS = frozenset({"channel", "order_id", "case_id", "store_id", "agent_id"})
"""Names of a touchpoint's own fields; any other name is a property."""
SEGMENT = "segment"
"""A property that every type may carry: the kind of customer, as the source sees it."""

Span = Annotated[Duration, Field(ge=timedelta(milliseconds=1))]
NO_SPAN = timedelta(0)


class Part(BaseModel):
    """A part of a rule file: unknown keys are refused, and nothing changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, ignored_types=(cached_property,))

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with other values, which are not validated. What follows from them is computed anew."""
        copied = super().model_copy(update=update, deep=deep)
        for name in copied.__dict__.keys() - type(self).model_fields.keys():
            del copied.__dict__[name]
        return copied


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean …?` for a name that is close to a known one, else nothing."""
    hint = did_you_mean(name, known)
    return f"; {hint}" if hint else ""


def _check_type(name: str) -> str:
    if name not in BY_NAME:
        raise ValueError(f"the catalogue has no touchpoint type {name!r}{nearest(name, BY_NAME)}")
    return name


TypeName = Annotated[str, AfterValidator(_check_type)]


def properties_of(name: str) -> frozenset[str]:
    """The properties that the catalogue gives a type."""
    return frozenset(BY_NAME[name].properties.model_fields)


def check_names(names: Iterable[str], types: Sequence[str]) -> None:
    """Raise ValueError for a name that is neither a field nor a property of one of the types."""
    known = FIELDS.union({SEGMENT}, *(properties_of(name) for name in types))
    for name in names:
        if name not in known:
            kinds = " or ".join(types)
            raise ValueError(f"{name!r} is neither a field nor a property of {kinds}{nearest(name, known)}")


def value_of(touch: Touch, name: str) -> Any:
    """A field of a touch, else a kept property of that name; None where it has none."""
    found = getattr(touch, name) if name in FIELDS else None
    return found if found is not None else (touch.details or {}).get(name)


def text_of(touch: Touch, name: str) -> str | None:
    """The same as text, for comparing."""
    found = value_of(touch, name)
    return None if found is None or found == "" else str(found)


def key_of(touch: Touch, names: Sequence[str]) -> tuple[str, ...] | None:
    """All the values; None if one is missing."""
    values = tuple(text_of(touch, name) for name in names)
    return None if None in values else values  # type: ignore[return-value]


def _as_pattern(value: Any) -> Any:
    if isinstance(value, str):
        return {"types": [value]}
    return {"types": value} if isinstance(value, list | tuple) else value


class Pattern(Part):
    """Touchpoints of some types, on some channels (none named: on any), for which `where` holds.

    In a file a name or a list of names stands for a pattern without conditions.
    """

    types: Annotated[tuple[TypeName, ...], Field(min_length=1)]
    channels: tuple[str, ...] = ()
    where: str | None = None

    @model_validator(mode="after")
    def _check_where(self) -> Pattern:
        if self.where is not None:
            compile_condition(self.where, self.types)
        return self

    @cached_property
    def condition(self) -> Condition | None:
        """The condition, compiled."""
        return None if self.where is None else compile_condition(self.where, self.types)

    def matches(self, touch: Touch) -> bool:
        """Whether a touch is meant."""
        return touch.type in self.types and self.holds(touch)

    def holds(self, touch: Touch) -> bool:
        """The same for a touch of one of the types."""
        if self.channels and touch.channel not in self.channels:
            return False
        condition = self.condition
        return condition is None or condition.holds(touch)

    def needs(self) -> dict[str, frozenset[str]]:
        """The properties that must be kept of each type."""
        names = self.condition.names if self.condition is not None else frozenset()
        return {name: names & (properties_of(name) | {SEGMENT}) for name in self.types}


PatternLike = Annotated[Pattern, BeforeValidator(_as_pattern)]


class Within(Part):
    """Touchpoints at most so long before another."""

    types: Annotated[tuple[TypeName, ...], Field(min_length=1)]
    within: Span
