"""What a rule file may say. Unknown keys, bad durations, unknown types and properties are refused with one line."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from schemas.catalogue import BY_NAME, Source
from schemas.durations import to_milliseconds
from schemas.episode import Severity
from streams.rules.patterns import NO_SPAN, Part, Pattern, PatternLike, Span
from streams.rules.primitives import Deadline, Mismatch, Repeat, Threshold, Wait
from streams.rules.readers import match
from streams.rules.sequence import Sequence
from streams.touch import Touch

Kind = Literal["friction", "delight", "opportunity"]
Primitive = Wait | Repeat | Deadline | Sequence | Threshold | Mismatch
PRIMITIVES = ("wait", "repeat", "deadline", "sequence", "threshold", "mismatch")
PLACEHOLDERS = ("actual", "threshold", "window", "place", "promised", "still_en", "still_he")
"""What a reason's templates may name."""
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")
FOREVER_MS = 2**62


class Texts(Part):
    """One text in each language that is shipped."""

    en: Annotated[str, Field(min_length=1)]
    he: Annotated[str, Field(min_length=1)]


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


class Escalation(Part):
    """What makes an episode graver: how long it is open, or how much was counted."""

    to: Severity
    after: Span | None = None
    count: Annotated[int, Field(ge=2)] | None = None

    @model_validator(mode="after")
    def _check(self) -> Escalation:
        if (self.after is None) == (self.count is None):
            raise ValueError("give exactly one of after and count")
        return self

    @cached_property
    def after_ms(self) -> int:
        return to_milliseconds(self.after or NO_SPAN)


class Scope(Part):
    """Where a rule looks, by the touchpoint with which a problem begins; nothing named: everywhere."""

    sources: tuple[Source, ...] = ()
    channels: tuple[str, ...] = ()
    stores: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()


class Resolution(Part):
    """What ends an episode: such a touchpoint about the same thing, or so long after it opened."""

    on: PatternLike | None = None
    after: Span | None = None

    @cached_property
    def after_ms(self) -> int | None:
        return None if self.after is None else to_milliseconds(self.after)

    @cached_property
    def is_end(self) -> Callable[[Touch], bool]:
        """Tells whether a touch ends an episode."""
        return match(self.on)


class Rule(Part):
    """One rule: exactly one primitive, and what is said of its episodes."""

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{2,40}$")]
    version: Annotated[int, Field(ge=1, le=65_535)]
    kind: Kind = "friction"
    severity: Severity
    escalate: tuple[Escalation, ...] = ()
    enabled: bool = True
    title: Texts
    meaning: Texts
    why: Annotated[str, Field(min_length=1)]
    reason: Templates
    advice: Texts
    scope: Scope = Scope()
    calendar: str | None = None
    cooldown: Span | None = None
    resolve: Resolution = Resolution()
    needs: tuple[Source, ...] | None = None
    wait: Wait | None = None
    repeat: Repeat | None = None
    deadline: Deadline | None = None
    sequence: Sequence | None = None
    threshold: Threshold | None = None
    mismatch: Mismatch | None = None

    @model_validator(mode="after")
    def _check(self) -> Rule:
        given = [name for name in PRIMITIVES if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise ValueError(f"give exactly one of {', '.join(PRIMITIVES)}; found {found}")
        if self.calendar is not None and given[0] not in ("wait", "sequence", "deadline"):
            raise ValueError(f"`calendar` goes with wait, sequence and deadline; {given[0]} counts no time")
        if self.resolve.on is not None and given[0] not in ("repeat", "sequence"):
            raise ValueError(f"`resolve.on` goes with repeat and sequence, not with {given[0]}")
        self._check_escalation(given[0])
        return self

    def _check_escalation(self, primitive: str) -> None:
        for step in self.escalate:
            if SEVERITIES.index(step.to) <= SEVERITIES.index(self.severity):
                raise ValueError(f"`escalate` to {step.to} changes nothing: the severity is {self.severity} already")
            if step.count is not None and primitive != "repeat":
                raise ValueError(f"`escalate` by `count` goes with repeat; {primitive} counts nothing")

    @cached_property
    def primitive_name(self) -> str:
        """Which of the six it is."""
        return next(name for name in PRIMITIVES if getattr(self, name) is not None)

    @cached_property
    def primitive(self) -> Primitive:
        """Its parameters."""
        found: Primitive = getattr(self, self.primitive_name)
        return found

    @cached_property
    def window_seconds(self) -> float:
        """The time within which it counts or waits for something, as its texts say it; 0 for a rule without."""
        window: timedelta | None = getattr(self.primitive, "within", None) or getattr(self.primitive, "by", None)
        return window.total_seconds() if window is not None else 0.0

    @property
    def is_sequel(self) -> bool:
        """Whether it begins with episodes of other rules."""
        return self.sequence is not None and self.sequence.first.episodes is not None

    @cached_property
    def cooldown_ms(self) -> int:
        return to_milliseconds(self.cooldown or NO_SPAN)

    @cached_property
    def depends_on(self) -> frozenset[str]:
        """The sources that must be alive for an absence to mean anything."""
        if self.needs is not None:
            return frozenset(self.needs)
        return frozenset(BY_NAME[name].source for name in self.primitive.awaited)

    @cached_property
    def keeps(self) -> dict[str, frozenset[str]]:
        """The types that it must see, with the properties that must be kept of each."""
        found: dict[str, frozenset[str]] = {}
        needs = [*self.primitive.needs()]
        if self.resolve.on is not None:
            needs.append((self.resolve.on, self._names))
        for pattern, names in needs:
            for type_name, wanted in pattern.needs().items():
                if wanted or not self.is_sequel:
                    found[type_name] = found.get(type_name, frozenset()) | wanted | frozenset(names)
        return found

    @property
    def _names(self) -> tuple[str, ...]:
        if self.repeat is not None:
            return self.repeat.same
        return self.sequence.match if self.sequence is not None else ()

    @property
    def lookback(self) -> timedelta:
        """How far before a touchpoint the rule looks; its evidence must be kept that long."""
        return max(self.primitive.lookback, self.cooldown or NO_SPAN)

    def judge_severity(self, opened_ms: int, until_ms: int, actual: float) -> tuple[Severity, int]:
        """How grave an episode is that is open until then, and the moment at which time alone makes it graver."""
        severity, changes_ms = SEVERITIES.index(self.severity), FOREVER_MS
        for step in self.escalate:
            if step.count is not None:
                reached = actual >= step.count
            else:
                reached = until_ms - opened_ms >= step.after_ms
                if not reached:
                    changes_ms = min(changes_ms, opened_ms + step.after_ms)
            if reached:
                severity = max(severity, SEVERITIES.index(step.to))
        return SEVERITIES[severity], changes_ms


def retired_rule(rule_id: str) -> Rule:
    """What stands in for a rule that is no longer there, where an episode of it is named once more."""
    texts = Texts(en=rule_id, he=rule_id)
    return Rule(
        id=rule_id, version=1, severity="info", title=texts, meaning=texts, why="-",
        reason=Templates(en=rule_id, he=rule_id), advice=texts, threshold=Threshold(types=("page_viewed",)),
    )  # fmt: skip


__all__ = [
    "FOREVER_MS",
    "PLACEHOLDERS",
    "PRIMITIVES",
    "SEVERITIES",
    "Kind",
    "Pattern",
    "Rule",
    "Scope",
    "Templates",
    "Texts",
    "retired_rule",
]
