"""What a scenario file says: a few touchpoints, and what a rule must find in them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from schemas.catalogue import BY_NAME, FACT_TYPES
from schemas.durations import Duration, parse_duration, to_milliseconds
from schemas.episode import EpisodeStatus, Severity, WithdrawnBecause
from schemas.faults import FaultAt, tell_plainly
from schemas.hints import did_you_mean
from schemas.moments import Moment, check_moment, format_epoch_ms, to_epoch_ms
from schemas.properties import Properties
from schemas.yaml_files import parse_yaml
from streams.rules.names import properties_of

Sort = Literal["fires", "silent", "boundary", "waiting", "resolves", "late_data"]
SORTS: tuple[Sort, ...] = get_args(Sort)
MONDAY = check_moment("2026-01-05T08:00:00Z")
ENVELOPE = ("event_id", "source", "channel", "order_id", "case_id", "store_id", "agent_id")
STOCK_FACTS = {entry.name: entry.properties for entry in FACT_TYPES if entry.name in ("restocked", "stock_level")}
CUSTOMER = "C-1"
Model = type[Properties]
_EXPECTED = "a file of scenarios has `rule:` and, under `scenarios:`, at least one with a name"


class Part(BaseModel):
    """A part of a scenario file: unknown keys are refused, and nothing changes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Event(BaseModel):
    """Something that happened `at` so long after the start; fields and properties stand flat beside `type`.

    Properties that are moments (`promised_by`, `due_at`…) are spans from the start, too.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    at: Duration
    type: str

    @property
    def at_ms(self) -> int:
        """When it happened, milliseconds from the start."""
        return to_milliseconds(self.at)

    def record(self, event_id: str, start_ms: int) -> dict[str, Any]:
        """What a source would send of it. Raises ValueError for what its type does not have."""
        raise NotImplementedError

    def _state(self, head: dict[str, Any], model: Model, start_ms: int) -> dict[str, Any]:
        fields, properties = _split(self.__pydantic_extra__ or {}, self.type, model)
        moments = (
            {name.text for name in properties_of(self.type) if name.kind == "moment"} if self.type in BY_NAME else set()
        )
        occurred_at = format_epoch_ms(start_ms + self.at_ms)
        spans = {name: format_epoch_ms(start_ms + _span_ms(properties[name])) for name in moments & properties.keys()}
        return {**head, "type": self.type, "occurred_at": occurred_at, **fields, "properties": properties | spans}


class Touchpoint(Event):
    """One touchpoint of the customer."""

    @model_validator(mode="after")
    def _check(self) -> Touchpoint:
        if self.type not in BY_NAME:
            mend = did_you_mean(self.type, BY_NAME) or "docs/touchpoints.md lists them"
            raise FaultAt(f"the catalogue has no touchpoint type {self.type!r}; {mend}", "type")
        _check_properties(BY_NAME[self.type].properties, self.record("t", 0)["properties"])
        return self

    def record(self, event_id: str, start_ms: int) -> dict[str, Any]:
        entry = BY_NAME[self.type]
        head = {"event_id": event_id, "source": entry.source, "identifiers": {"customer_id": CUSTOMER}}
        return self._state(head, entry.properties, start_ms)


class StockFact(Event):
    """That a product is back, or how many of it a store has."""

    @model_validator(mode="after")
    def _check(self) -> StockFact:
        if self.type not in STOCK_FACTS:
            raise FaultAt(f"{self.type!r} is no fact about stock: {', '.join(STOCK_FACTS)} are", "type")
        _check_properties(STOCK_FACTS[self.type], self.record("f", 0)["properties"])
        return self

    def record(self, event_id: str, start_ms: int) -> dict[str, Any]:
        return self._state({"event_id": event_id, "source": "store"}, STOCK_FACTS[self.type], start_ms)


def _split(said: Mapping[str, Any], kind: str, model: Model) -> tuple[dict[str, Any], dict[str, Any]]:
    """Fields of the envelope and properties; what may be either is a property."""
    properties = {*model.model_fields, "segment"}
    known = properties.union(ENVELOPE)
    for name in said:
        if name not in known:
            hint = did_you_mean(name, known) or f"known are {', '.join(sorted(known))}"
            raise FaultAt(f"{name!r} is neither a field nor a property of {kind}; {hint}", name)
    return (
        {name: value for name, value in said.items() if name not in properties},
        {name: value for name, value in said.items() if name in properties},
    )


def _span_ms(value: Any) -> int:
    span = parse_duration(value)
    if not isinstance(span, timedelta):
        raise ValueError(f"{value!r} is no duration: write it as 90s, 30m, 12h or 14d")
    return to_milliseconds(span)


def _check_properties(model: Model, properties: Mapping[str, Any]) -> None:
    try:
        model.model_validate(properties)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        raise FaultAt(tell_plainly(fault), *fault["loc"]) from None


def _read_amount(value: Any) -> Any:
    return _span_ms(value) / 1000 if isinstance(value, str) else value


Amount = Annotated[float, BeforeValidator(_read_amount)]
"""A number, or a duration, which is so many seconds."""


class Expected(Part):
    """What an episode must be like; what is not named may be anything. Spans count from the start."""

    opened: Duration | None = None
    last_seen: Duration | None = None
    resolved: Duration | None = None
    promised: Duration | None = None
    status: EpisodeStatus | None = None
    severity: Severity | None = None
    subject: str | None = None
    actual: Amount | None = None
    threshold: Amount | None = None
    unit: str | None = None
    withdrawn_because: WithdrawnBecause | None = None


class Scenario(Part):
    """Some touchpoints, and what the rule must have found at `until`, the time of the last one where it is left out.

    `later` are touchpoints that arrive afterwards, though they happened before; `expect_later` is what holds then.
    """

    name: Annotated[str, Field(min_length=1)]
    shows: tuple[Sort, ...] = ()
    start: Moment = MONDAY
    touchpoints: Annotated[tuple[Touchpoint, ...], Field(min_length=1)]
    facts: tuple[StockFact, ...] = ()
    until: Duration | None = None
    expect: tuple[Expected, ...]
    later: tuple[Touchpoint, ...] = ()
    expect_later: tuple[Expected, ...] | None = None

    @model_validator(mode="before")
    @classmethod
    def _ask_for_expect(cls, found: Any) -> Any:
        if isinstance(found, dict) and "expect" not in found and found.keys() <= cls.model_fields.keys():
            name = found.get("name", "without a name")
            raise ValueError(f"scenario {name!r}: give `expect`, a list of episodes, or `expect: []` for none")
        return found

    @model_validator(mode="after")
    def _check(self) -> Scenario:
        if bool(self.later) != (self.expect_later is not None):
            raise FaultAt("`later` and `expect_later` go together", "later" if self.later else "expect_later")
        for name, events in (("touchpoints", self.touchpoints), ("later", self.later)):
            if any(event.at_ms > self.until_ms for event in events):
                raise FaultAt(f"`until` lies before one of `{name}`: we look when all of them have happened", "until")
        return self

    @property
    def start_ms(self) -> int:
        """When it starts, epoch milliseconds."""
        return to_epoch_ms(self.start)

    @property
    def until_ms(self) -> int:
        """When we look, milliseconds from the start."""
        if self.until is not None:
            return to_milliseconds(self.until)
        return max(event.at_ms for event in self.touchpoints)


class ScenarioFile(Part):
    """The scenarios of one rule."""

    rule: str
    scenarios: Annotated[tuple[Scenario, ...], Field(min_length=1)]

    @model_validator(mode="before")
    @classmethod
    def _ask_for_scenarios(cls, found: Any) -> Any:
        if isinstance(found, dict) and found.keys() == {"rule"}:
            raise ValueError("give `scenarios:` too, and it is a file of scenarios; a rule file has `id:`, not `rule:`")
        return found

    @model_validator(mode="after")
    def _check(self) -> ScenarioFile:
        names = [scenario.name for scenario in self.scenarios]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            second = names.index(twice, names.index(twice) + 1)
            raise FaultAt(f"two scenarios are called {twice!r}: give one another name", "scenarios", second, "name")
        return self


def parse_scenarios(text: str, name: str) -> ScenarioFile:
    """The scenarios of a file. Raises Misconfigured: one line with file, line, place and what is wrong."""
    return parse_yaml(text, name, ScenarioFile, _EXPECTED)
