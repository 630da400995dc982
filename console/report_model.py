"""What was counted in one span of days; the report is made of two of these."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from console.report_span import Span


@dataclass(frozen=True)
class Part:
    """So many of so many."""

    hits: int = 0
    cases: int = 0

    @property
    def share(self) -> float | None:
        """From 0 to 1; None where there is nothing to divide by."""
        return self.hits / self.cases if self.cases else None


@dataclass(frozen=True)
class Mean:
    """An average of so many values; NaN or None of none is None."""

    value: float | None = None
    deviation: float | None = None
    cases: int = 0

    @staticmethod
    def of(value: float | None, deviation: float | None, cases: int) -> Mean:
        """As a database says it."""
        return Mean(_number(value), _number(deviation), cases)


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


@dataclass(frozen=True)
class Journeys:
    """Journeys that began in the span."""

    count: int = 0
    customers: int = 0
    converted: int = 0
    experience: Mean = Mean()
    effort: Mean = Mean()


@dataclass(frozen=True)
class RuleCount:
    """Episodes of one rule, and the journeys of the latest of them."""

    rule: str
    episodes: int
    customers: int
    journeys: tuple[str, ...] = ()


@dataclass(frozen=True)
class StoreCount:
    """Frictions of one store, and the journeys that came there."""

    store: str
    episodes: int
    journeys: int


@dataclass(frozen=True)
class Promises:
    """Promises of one kind whose time, as last promised, lay in the span."""

    kind: str
    kept: int = 0
    late: int = 0
    broken: int = 0
    open: int = 0

    @property
    def judged(self) -> int:
        """Those of which it is known."""
        return self.kept + self.late + self.broken


@dataclass(frozen=True)
class Waits:
    """Waits of one kind and channel: quantiles of the answered ones, and how many had no answer."""

    kind: str
    channel: str
    answered: int
    unanswered: int
    p50: float | None
    p95: float | None

    @property
    def names(self) -> tuple[str, ...]:
        """Kind and channel; a queue has none."""
        return (self.kind, self.channel) if self.channel or self.kind != "queue" else (self.kind,)


@dataclass(frozen=True)
class TopicCount:
    """Contacts about one topic, and those of them that came again."""

    topic: str
    contacts: int
    repeats: int


@dataclass(frozen=True)
class Contacts:
    """Contacts with support."""

    repeats: Part = Part()
    solved: Part = Part()
    where_is_my_order: Part = Part()
    topics: tuple[TopicCount, ...] = ()


@dataclass(frozen=True)
class Complaints:
    """Complaint cases."""

    opened: int = 0
    settled: int = 0
    still_open: int = 0
    median_hours: float | None = None


@dataclass(frozen=True)
class Survey:
    """Answers to one kind of survey."""

    answers: int = 0
    good: int = 0
    bad: int = 0


@dataclass(frozen=True)
class Silent:
    """One customer who has gone silent after friction."""

    customer: str
    last_seen: date
    rules: tuple[str, ...]


@dataclass(frozen=True)
class Week:
    """All that was counted in one span; None is what cannot be told of one store alone."""

    span: Span
    touchpoints: int = 0
    active_journeys: int = 0
    journeys: Journeys = Journeys()
    begun: Mapping[date, int] = field(default_factory=dict)
    hurt: Mapping[date, int] = field(default_factory=dict)
    frictions: tuple[RuleCount, ...] = ()
    customers_hit: Part = Part()
    stores: tuple[StoreCount, ...] = ()
    hours: Mapping[tuple[int, int], int] = field(default_factory=dict)
    promises: tuple[Promises, ...] = ()
    on_time: Part | None = None
    contacts: Contacts | None = None
    waits: tuple[Waits, ...] = ()
    complaints: Complaints = Complaints()
    surveys: Mapping[str, Survey] | None = None
    delights: tuple[RuleCount, ...] = ()
    recovered: Part | None = None
    silent: tuple[Silent, ...] | None = None
    silent_count: int | None = None

    @property
    def episodes(self) -> int:
        """Frictions of all rules."""
        return sum(each.episodes for each in self.frictions)

    @property
    def delighted(self) -> int:
        """Delights of all rules."""
        return sum(each.episodes for each in self.delights)


@dataclass(frozen=True)
class Facts:
    """Two spans side by side, and what rules are called in the language of the report.

    `is_over`: the span had come to its end when it was read; else its numbers are of a part of it.
    """

    now: Week
    before: Week
    titles: Mapping[str, str] = field(default_factory=dict)
    store: str = ""
    is_over: bool = True
