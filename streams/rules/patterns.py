"""What a rule file says of touchpoints: which types, on which channels, under which condition, and by which names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from functools import cached_property
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from schemas.catalogue import BY_NAME
from schemas.durations import Duration
from schemas.faults import FaultAt
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

    model_config = ConfigDict(
        extra="forbid", frozen=True, ignored_types=(cached_property,), use_attribute_docstrings=True
    )

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


def check_names(names: Sequence[str], types: Sequence[str], *place: int | str) -> None:
    """Raise FaultAt, by index below `place`, for a name that is neither a field nor a property of one of the types."""
    for index, name in enumerate(names):
        check_name(name, types, *place, index)


def check_name(name: str, types: Sequence[str], *place: int | str) -> None:
    """The same for one name, which stands at `place` itself."""
    known = FIELDS.union({SEGMENT}, *(properties_of(each) for each in types))
    if name not in known:
        message = f"{name!r} is neither a field nor a property of {' or '.join(types)}{nearest(name, known)}"
        raise FaultAt(message, *place)


def check_condition(text: str | None, types: Sequence[str], place: str = "where") -> None:
    """Raise FaultAt for a condition that cannot be understood of touchpoints of these types."""
    try:
        if text is not None:
            compile_condition(text, types)
    except ValueError as error:
        raise FaultAt(str(error), place) from error


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


def as_pattern(value: Any) -> Any:
    """What a file says of touchpoints, in full: a name or a list of names stands for their types."""
    value = _as_list(value)
    return {"types": value} if isinstance(value, list | tuple) else value


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


SomeTypes = Annotated[tuple[TypeName, ...], BeforeValidator(_as_list)]
"""Types of touchpoints, or none; a single name stands for a list of one."""
Types = Annotated[SomeTypes, Field(min_length=1)]
"""At least one type of touchpoints."""


class Pattern(Part):
    """Touchpoints of some types, on some channels (none named: on any), for which `where` holds.

    In a file a name or a list of names stands for a pattern without conditions.
    """

    types: Types
    """Types of touchpoints, as docs/touchpoints.md lists them."""
    channels: tuple[str, ...] = ()
    """Only on these channels; by default on any."""
    where: str | None = None
    """A condition that must hold."""

    @model_validator(mode="after")
    def _check_where(self) -> Pattern:
        check_condition(self.where, self.types)
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


PatternLike = Annotated[Pattern, BeforeValidator(as_pattern)]


class Within(Part):
    """Touchpoints at most so long before another."""

    types: Types
    """Types of touchpoints, one of which must have come."""
    within: Span
    """At most so long before."""
