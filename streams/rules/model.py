"""What a rule file may say. Unknown keys, bad durations, unknown types and properties are refused with one line."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from functools import cached_property
from string import Formatter
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from schemas.catalogue import BY_NAME, Source
from schemas.durations import to_milliseconds
from schemas.episode import Severity
from schemas.faults import FaultAt
from streams.rules.patterns import NO_SPAN, Part, Pattern, PatternLike, Span, nearest
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
    """English."""
    he: Annotated[str, Field(min_length=1)]
    """Hebrew."""


class Templates(Texts):
    """Texts that may name `PLACEHOLDERS` in braces."""

    @field_validator("en", "he")
    @classmethod
    def _check_placeholders(cls, template: str) -> str:
        known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
        try:
            parts = [*Formatter().parse(template)]
        except ValueError as error:
            raise ValueError(
                f"a brace has no partner; a brace itself is written {{{{ or }}}}; known are {known}"
            ) from error
        for _, name, form, conversion in parts:
            if name is not None and (name not in PLACEHOLDERS or form or conversion):
                raise ValueError(f"{{{name}}} cannot be filled in{nearest(name, PLACEHOLDERS)}; known are {known}")
        return template


class Escalation(Part):
    """What makes an episode graver: how long it is open, or how much was counted."""

    to: Severity
    """What it becomes, which is graver than `severity`."""
    after: Span | None = None
    """Once it has been open for so long. Give this or `count`."""
    count: Annotated[int, Field(ge=2)] | None = None
    """With `repeat`, and only there: from so many counted on."""

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
    """Only problems that begin with a touchpoint of these sources."""
    channels: tuple[str, ...] = ()
    """Only on these channels."""
    stores: tuple[str, ...] = ()
    """Only with these `store_id`."""
    segments: tuple[str, ...] = ()
    """Only customers of these segments, as the touchpoint's property `segment` says."""


class Resolution(Part):
    """What ends an episode: such a touchpoint about the same thing, or so long after it opened."""

    on: PatternLike | None = None
    """With `repeat` and `sequence`, and only there: touchpoints about the same thing that end an episode."""
    after: Span | None = None
    """So long after it opened an episode is over, whatever comes."""

    @cached_property
    def after_ms(self) -> int | None:
        return None if self.after is None else to_milliseconds(self.after)

    @cached_property
    def is_end(self) -> Callable[[Touch], bool]:
        """Tells whether a touch ends an episode."""
        return match(self.on)


def _check_id(name: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]{2,40}", name):
        raise ValueError(
            f"{name!r} is no id: write 3 to 41 small letters, digits and _, with a letter first, as slow_queue"
        )
    return name


class Rule(Part):
    """One rule: exactly one primitive, and what is said of its episodes."""

    id: Annotated[str, AfterValidator(_check_id)]
    """Small letters, digits and `_`; part of each episode's identity."""
    version: Annotated[int, Field(ge=1, le=65_535)]
    """A whole number, one more with each change: every episode says by which version it was found."""
    kind: Kind = "friction"
    """What sort of experience it finds."""
    severity: Severity
    """`info`, `warning` or `critical`, as an episode opens."""
    escalate: tuple[Escalation, ...] = ()
    """What makes an episode graver while it lasts."""
    enabled: bool = True
    """`false` switches the rule off."""
    title: Texts
    """What it is called, in `en` and `he`."""
    meaning: Texts
    """What it means for the customer, in `en` and `he`."""
    why: Annotated[str, Field(min_length=1)]
    """Why the limits are what they are."""
    reason: Templates
    """Why an episode is one, in `en` and `he`; may name placeholders, such as `{actual}`."""
    advice: Texts
    """What to do now, in `en` and `he`."""
    scope: Scope = Scope()
    """Where it looks, by the touchpoint with which a problem begins; by default everywhere."""
    calendar: str | None = None
    """With `wait`, `sequence` and `deadline`: clocks run in the open hours of this calendar only."""
    cooldown: Span | None = None
    """An episode on the same subject that opens so soon after the last one ended continues that one."""
    resolve: Resolution = Resolution()
    """What ends an episode besides what its primitive says."""
    needs: tuple[Source, ...] | None = None
    """Sources that must be alive for silence to mean anything; by default those whose touchpoints are awaited."""
    wait: Wait | None = None
    repeat: Repeat | None = None
    deadline: Deadline | None = None
    sequence: Sequence | None = None
    threshold: Threshold | None = None
    mismatch: Mismatch | None = None

    @model_validator(mode="before")
    @classmethod
    def _refuse_scenarios(cls, found: Any) -> Any:
        if isinstance(found, dict) and "scenarios" in found and "id" not in found:
            raise ValueError("this is a file of scenarios, and no rule: a rule has `id:` and lies beside `scenarios/`")
        return found

    @model_validator(mode="after")
    def _check(self) -> Rule:
        given = [name for name in PRIMITIVES if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise FaultAt(f"give exactly one of {', '.join(PRIMITIVES)}; found {found}", *given[1:2])
        if self.calendar is not None and given[0] not in ("wait", "sequence", "deadline"):
            raise FaultAt(f"`calendar` goes with wait, sequence and deadline; {given[0]} counts no time", "calendar")
        if self.resolve.on is not None and given[0] not in ("repeat", "sequence"):
            raise FaultAt(f"`resolve.on` goes with repeat and sequence, not with {given[0]}", "resolve", "on")
        self._check_escalation(given[0])
        return self

    def _check_escalation(self, primitive: str) -> None:
        for index, step in enumerate(self.escalate):
            if SEVERITIES.index(step.to) <= SEVERITIES.index(self.severity):
                told = f"`escalate` to {step.to} changes nothing: the severity is {self.severity} already"
                raise FaultAt(told, "escalate", index, "to")
            if step.count is not None and primitive != "repeat":
                told = f"`escalate` by `count` goes with repeat; {primitive} counts nothing"
                raise FaultAt(told, "escalate", index, "count")

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
