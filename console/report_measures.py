"""Numbers of two spans side by side: what changed, whether for the better, and what changed most. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from console.report_model import Complaints, Facts, Mean, Part, Promises, Survey, Waits, Week

Counted = TypeVar("Counted")
Unit = Literal["count", "share", "score", "points", "rate", "hours", "seconds"]
Verdict = Literal["better", "worse", "neutral", "same", "few", "unknown"]
ENOUGH = 20
"""Of fewer cases no share, score or rate is told."""
BEYOND_CHANCE = 2.0
"""Differences of so many standard errors come by chance alone in one of twenty comparisons."""
SHOWN_CHANGES = 3
SMALLEST: Mapping[Unit, float] = {
    "count": 0.5, "share": 0.0005, "score": 0.05, "points": 0.05, "rate": 0.05, "hours": 0.05, "seconds": 0.05,
}  # fmt: skip
"""Smaller differences are not seen in what is written."""


@dataclass(frozen=True)
class Reading:
    """One number, of how many cases it is, and how far chance alone moves it (one standard error)."""

    value: float | None
    cases: int
    error: float | None = None


@dataclass(frozen=True)
class Measure:
    """One number, now and before. `better` is 1 where more is better, -1 where less is, 0 where neither is."""

    name: str
    unit: Unit
    better: int
    now: Reading
    before: Reading
    of: tuple[str, ...] = ()
    """What it is a number of, where there are several: a rule, or a kind of wait and its channel."""

    @property
    def is_told(self) -> bool:
        """Whether there are cases enough to tell the number at all."""
        return _is_enough(self.now, self.unit)

    @property
    def is_told_before(self) -> bool:
        """The same of the span before."""
        return _is_enough(self.before, self.unit)

    @property
    def difference(self) -> float | None:
        """By how much it grew; None where one of the two is not told."""
        if not (self.is_told and self.is_told_before) or self.now.value is None or self.before.value is None:
            return None
        return self.now.value - self.before.value

    @property
    def strength(self) -> float | None:
        """The difference in standard errors; None where that is not known."""
        if self.difference is None or self.now.error is None or self.before.error is None:
            return None
        error = math.hypot(self.now.error, self.before.error)
        return self.difference / error if error else None

    @property
    def may_be_chance(self) -> bool:
        """Whether chance alone brings such a difference often, as far as that is known."""
        is_seen = self.verdict != "same" and self.strength is not None
        return is_seen and abs(self.strength or 0) < BEYOND_CHANCE

    @property
    def verdict(self) -> Verdict:
        """What is to be thought of the change."""
        if not self.is_told:
            return "few"
        if self.difference is None:
            return "unknown"
        if abs(self.difference) < SMALLEST[self.unit]:
            return "same"
        if not self.better:
            return "neutral"
        return "better" if self.difference * self.better > 0 else "worse"


def _is_enough(reading: Reading, unit: Unit) -> bool:
    return reading.value is not None and (unit == "count" or reading.cases >= ENOUGH)


def top_changes(measures: Iterable[Measure]) -> tuple[tuple[Measure, ...], tuple[Measure, ...]]:
    """The largest changes for the better and for the worse, largest first.

    Only where both spans have `ENOUGH` cases; large is what lies far beyond chance, so that unlike numbers compare.
    """
    known = [each for each in measures if each.strength and min(each.now.cases, each.before.cases) >= ENOUGH]
    ranked = sorted(known, key=lambda each: -abs(each.strength or 0))
    better, worse = ([each for each in ranked if each.verdict == wanted] for wanted in ("better", "worse"))
    return tuple(better[:SHOWN_CHANGES]), tuple(worse[:SHOWN_CHANGES])


@dataclass(frozen=True)
class Section:
    """One part of the report. `is_told` is false where it cannot be told of one store alone."""

    name: str
    measures: tuple[Measure, ...]
    is_told: bool = True


def make_sections(facts: Facts) -> tuple[Section, ...]:
    """All parts of the report, in order."""
    now, before = facts.now, facts.before
    is_whole = not facts.store
    return (
        Section("journeys", _journeys(now, before)),
        Section("friction", _friction(now, before)),
        Section("promises", _promises(now, before)),
        Section("contacts", _contacts(now, before), is_whole),
        Section("waits", _waits(now, before)),
        Section("complaints", _complaints(now.complaints, before.complaints)),
        Section("surveys", _surveys(now, before), is_whole),
        Section("delight", _delight(now, before)),
        Section("silent", _silent(now, before), is_whole),
    )


def all_measures(facts: Facts, sections: Sequence[Section]) -> list[Measure]:
    """Every number that may have changed, those of single rules among them."""
    return [measure for section in sections for measure in section.measures] + rule_rates(facts)


def rule_rates(facts: Facts) -> list[Measure]:
    """Episodes of each friction rule per 100 journeys, the most frequent first."""
    rules = [each.rule for week in (facts.now, facts.before) for each in week.frictions]
    return [
        Measure("rule_rate", "rate", -1, _rule_rate(facts.now, rule), _rule_rate(facts.before, rule), (rule,))
        for rule in dict.fromkeys(rules)
    ]


def _rule_rate(week: Week, rule: str) -> Reading:
    return rate(sum(each.episodes for each in week.frictions if each.rule == rule), week.active_journeys)


def compare(
    name: str,
    unit: Unit,
    better: int,
    read: Callable[[Counted], Reading],
    now: Counted,
    before: Counted,
) -> Measure:
    """One number, read from what was counted in each span."""
    return Measure(name, unit, better, read(now), read(before))


def count(number: int) -> Reading:
    """How many; chance moves a count by its square root."""
    return Reading(number, number, math.sqrt(number))


def share(part: Part) -> Reading:
    """A share of cases."""
    value = part.share
    error = None if value is None else math.sqrt(value * (1 - value) / part.cases)
    return Reading(value, part.cases, error)


def rate(events: int, cases: int) -> Reading:
    """Events per 100 cases."""
    return Reading(100 * events / cases, cases, 100 * math.sqrt(events) / cases) if cases else Reading(None, 0)


def mean(found: Mean) -> Reading:
    """An average."""
    error = None if found.deviation is None or not found.cases else found.deviation / math.sqrt(found.cases)
    return Reading(found.value, found.cases, error)


def satisfied(survey: Survey) -> Reading:
    """The share of good answers."""
    return share(Part(survey.good, survey.answers))


def promoters(survey: Survey) -> Reading:
    """NPS, in points."""
    if not survey.answers:
        return Reading(None, 0)
    value = (survey.good - survey.bad) / survey.answers
    variance = (survey.good + survey.bad) / survey.answers - value * value
    return Reading(100 * value, survey.answers, 100 * math.sqrt(max(variance, 0) / survey.answers))


def _journeys(now: Week, before: Week) -> tuple[Measure, ...]:
    pair = now.journeys, before.journeys
    return (
        compare("journeys", "count", 0, lambda each: count(each.count), *pair),
        compare("customers", "count", 0, lambda each: count(each.customers), *pair),
        compare("conversion", "share", 1, lambda each: share(Part(each.converted, each.count)), *pair),
        compare("experience", "score", 1, lambda each: mean(each.experience), *pair),
        compare("effort", "score", -1, lambda each: mean(each.effort), *pair),
    )


def _friction(now: Week, before: Week) -> tuple[Measure, ...]:
    return (
        compare("frictions", "count", 0, lambda week: count(week.episodes), now, before),
        compare("friction_rate", "rate", -1, lambda week: rate(week.episodes, week.active_journeys), now, before),
        compare("customers_hit", "share", -1, lambda week: share(week.customers_hit), now, before),
    )


def _promises(now: Week, before: Week) -> tuple[Measure, ...]:
    pair = _all_promises(now), _all_promises(before)
    measures = [
        compare("promises_kept", "share", 1, lambda each: share(Part(each.kept, each.judged)), *pair),
        compare("promises_late", "share", -1, lambda each: share(Part(each.late, each.judged)), *pair),
        compare("promises_broken", "share", -1, lambda each: share(Part(each.broken, each.judged)), *pair),
    ]
    if now.on_time is not None and before.on_time is not None:
        measures.append(compare("on_time", "share", 1, share, now.on_time, before.on_time))
    return tuple(measures)


def _all_promises(week: Week) -> Promises:
    kept, late, broken = (sum(getattr(each, name) for each in week.promises) for name in ("kept", "late", "broken"))
    return Promises("", kept, late, broken)


def _contacts(now: Week, before: Week) -> tuple[Measure, ...]:
    if now.contacts is None or before.contacts is None:
        return ()
    pair = now.contacts, before.contacts
    return (
        compare("contacts", "count", 0, lambda each: count(each.repeats.cases), *pair),
        compare("solved", "share", 1, lambda each: share(each.solved), *pair),
        compare("repeats", "share", -1, lambda each: share(each.repeats), *pair),
        compare("wismo", "share", -1, lambda each: share(each.where_is_my_order), *pair),
    )


def _waits(now: Week, before: Week) -> tuple[Measure, ...]:
    earlier = {(each.kind, each.channel): each for each in before.waits}
    return tuple(
        Measure("wait", "seconds", -1, _median(each), _median(earlier.get((each.kind, each.channel))), each.names)
        for each in now.waits
        if each.answered >= ENOUGH
    )


def _median(waits: Waits | None) -> Reading:
    return Reading(None, 0) if waits is None else Reading(waits.p50, waits.answered)


def _complaints(now: Complaints, before: Complaints) -> tuple[Measure, ...]:
    return (
        compare("complaints", "count", -1, lambda each: count(each.opened), now, before),
        compare("complaints_open", "count", -1, lambda each: count(each.still_open), now, before),
        compare("complaint_hours", "hours", -1, lambda each: Reading(each.median_hours, each.settled), now, before),
    )


def _surveys(now: Week, before: Week) -> tuple[Measure, ...]:
    if now.surveys is None or before.surveys is None:
        return ()
    pair = now.surveys, before.surveys
    return (
        compare("csat", "share", 1, lambda each: satisfied(each.get("csat", Survey())), *pair),
        compare("ces", "share", 1, lambda each: satisfied(each.get("ces", Survey())), *pair),
        compare("nps", "points", 1, lambda each: promoters(each.get("nps", Survey())), *pair),
    )


def _delight(now: Week, before: Week) -> tuple[Measure, ...]:
    measure = compare("delight_rate", "rate", 1, lambda week: rate(week.delighted, week.active_journeys), now, before)
    if now.recovered is None or before.recovered is None:
        return (measure,)
    return measure, compare("recovered", "share", 1, share, now.recovered, before.recovered)


def _silent(now: Week, before: Week) -> tuple[Measure, ...]:
    if now.silent_count is None or before.silent_count is None:
        return ()
    # Most who are silent now were so a week ago, so the two counts are no independent ones that chance could explain.
    return (
        compare("silent", "count", -1, lambda number: Reading(number, number), now.silent_count, before.silent_count),
    )
