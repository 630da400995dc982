"""What a rule file may say. Unknown keys, bad durations and unknown types are refused with one line."""

from __future__ import annotations

from datetime import timedelta
from functools import cached_property
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from schemas.catalogue import BY_NAME
from schemas.durations import Duration
from schemas.episode import Severity
from streams.promises import KINDS
from streams.touch import DETAILS

Primitive = Literal["wait", "repeat", "deadline"]
Span = Annotated[Duration, Field(ge=timedelta(milliseconds=1))]
PLACEHOLDERS = ("actual", "threshold", "place", "promised", "still_en", "still_he")
"""What a reason's templates may name."""
FIELDS = frozenset({"channel", "order_id", "case_id", "store_id", "agent_id"})


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _check_type(name: str) -> str:
    if name not in BY_NAME:
        raise ValueError(f"the catalogue has no touchpoint type {name!r}")
    if name not in DETAILS:
        raise ValueError(f"type {name!r} is not kept for rules; add it to streams.touch.DETAILS")
    return name


def _check_name(name: str) -> str:
    if name not in FIELDS.union(*DETAILS.values()):
        raise ValueError(f"{name!r} is neither a field nor a property that is kept for rules")
    return name


class Texts(_Part):
    """One text in each language that is shipped."""

    en: str = Field(min_length=1)
    he: str = Field(min_length=1)


class Templates(Texts):
    """Texts that may name `PLACEHOLDERS` in braces."""

    @field_validator("en", "he")
    @classmethod
    def _check_placeholders(cls, template: str) -> str:
        try:
            template.format(**dict.fromkeys(PLACEHOLDERS, ""))
        except (LookupError, ValueError, AttributeError) as error:
            names = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
            raise ValueError(f"{error} cannot be filled in; a template may use {names}") from error
        return template


class WaitCase(_Part):
    """`begins` until one of `ends`, on the same `match` fields, takes longer than `longer_than`."""

    begins: str
    ends: tuple[str, ...] = Field(min_length=1)
    match: tuple[str, ...] = Field(min_length=1)
    longer_than: Span
    channels: tuple[str, ...] = ()
    give_up_after: Span = timedelta(hours=12)

    _types = field_validator("begins")(_check_type)

    @field_validator("ends")
    @classmethod
    def _check_ends(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_check_type(name) for name in names)

    @field_validator("match")
    @classmethod
    def _check_match(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_check_name(name) for name in names)

    @model_validator(mode="after")
    def _check_spans(self) -> WaitCase:
        if self.longer_than >= self.give_up_after:
            raise ValueError("longer_than must be shorter than give_up_after, or the rule never fires")
        return self


class Wait(_Part):
    """A begins and B does not come in time; also while B has not come."""

    cases: tuple[WaitCase, ...] = Field(min_length=1)


class Repeat(_Part):
    """`count` touchpoints of a type, each within `within` of the one before, about the same thing."""

    type: str
    count: int = Field(ge=2)
    within: Span
    same: tuple[str, ...] = Field(min_length=1)

    _types = field_validator("type")(_check_type)

    @field_validator("same")
    @classmethod
    def _check_same(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_check_name(name) for name in names)


class Deadline(_Part):
    """The time of a promise passes while it is still owed."""

    promise: str

    @field_validator("promise")
    @classmethod
    def _check_promise(cls, name: str) -> str:
        if name not in {kind.name for kind in KINDS}:
            raise ValueError(f"there is no promise kind {name!r}; known: {', '.join(kind.name for kind in KINDS)}")
        return name


class Rule(_Part):
    """One friction rule."""

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{2,40}$")]
    version: int = Field(ge=1)
    severity: Severity
    primitive: Primitive
    title: Texts
    reason: Templates
    advice: Texts
    wait: Wait | None = None
    repeat: Repeat | None = None
    deadline: Deadline | None = None

    @model_validator(mode="after")
    def _check_parameters(self) -> Rule:
        for name in ("wait", "repeat", "deadline"):
            if (getattr(self, name) is not None) != (name == self.primitive):
                raise ValueError(
                    f"primitive is {self.primitive!r}: give the key {self.primitive!r} and no other primitive"
                )
        return self

    @cached_property
    def triggers(self) -> frozenset[str]:
        """The types without which it finds nothing; empty for a rule about promises."""
        if self.repeat is not None:
            return frozenset({self.repeat.type})
        return frozenset(case.begins for case in self.wait.cases) if self.wait is not None else frozenset()

    @property
    def lookback(self) -> timedelta:
        """How far before a touchpoint the rule looks; its evidence must be kept that long."""
        if self.repeat is not None:
            return self.repeat.within
        if self.wait is not None:
            return max(case.give_up_after for case in self.wait.cases)
        return timedelta(0)
