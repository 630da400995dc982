"""Reads what a report says from the views of analysts: SQL in, dataclasses out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol

from console import report_sql as sql
from console.report_model import (
    Complaints,
    Contacts,
    Facts,
    Journeys,
    Mean,
    Part,
    Promises,
    RuleCount,
    Silent,
    StoreCount,
    Survey,
    TopicCount,
    Waits,
    Week,
)
from console.report_span import Span
from streams.friction.texts import Language

AFTERMATH_DAYS = 7
"""How long after a contact or a friction it is judged what followed."""
QUIET_DAYS = 21
SHOWN_SILENT = 12
Tell = Callable[[str], None]
Rows = list[tuple[Any, ...]]


class Source(Protocol):
    """What answers questions."""

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Rows:
        """All rows of the answer."""


def read_facts(source: Source, span: Span, store: str, language: Language, tell: Tell) -> Facts:
    """Everything that a report needs. `tell` hears the name of each of the `STEPS` as it begins, for both spans."""
    now, before = (_read_week(_Reader(source, each, store), tell) for each in (span, span.before()))
    # The language is one of two words of ours; columns cannot be parameters.
    titles = {str(rule): str(title) for rule, title in source.query(sql.TITLES.format(language=language))}
    return Facts(now, before, titles, store)


def has_touchpoints(source: Source, span: Span, store: str) -> bool:
    """Whether anything at all happened."""
    return bool(_Reader(source, span, store).one(sql.TOUCHPOINTS)[0])


class _Reader:
    """Asks about one span and, where one is named, one store."""

    def __init__(self, source: Source, span: Span, store: str) -> None:
        self.source, self.span, self.store = source, span, store

    def rows(self, statement: str, span: Span | None = None) -> Rows:
        asked = span or self.span
        given = {
            "since": _stamp(asked.since),
            "until": _stamp(asked.until),
            "zone": asked.zone,
            "store": self.store,
            "window": AFTERMATH_DAYS,
            "quiet": QUIET_DAYS,
            "shown": SHOWN_SILENT,
        }
        return self.source.query(statement, given)

    def one(self, statement: str, span: Span | None = None) -> tuple[Any, ...]:
        return self.rows(statement, span)[0]

    @property
    def settled(self) -> Span:
        """The days whose aftermath is over when the span is."""
        return self.span.earlier(timedelta(days=AFTERMATH_DAYS))


STEPS = ("journeys", "friction", "promises", "contacts", "surveys", "delight")


def _read_week(reader: _Reader, tell: Tell) -> Week:
    found: dict[str, Any] = {}
    for step, read in zip(STEPS, _READERS, strict=True):
        tell(step)
        found |= read(reader)
    return Week(reader.span, **found)


def _read_journeys(reader: _Reader) -> dict[str, Any]:
    count, customers, converted, experience, deviation, scored, effort, effort_deviation = reader.one(sql.JOURNEYS)
    journeys = Journeys(
        count, customers, converted,
        Mean.of(experience, deviation, scored), Mean.of(effort, effort_deviation, scored),
    )  # fmt: skip
    touchpoints, active_journeys = reader.one(sql.TOUCHPOINTS)
    return {
        "touchpoints": touchpoints,
        "active_journeys": active_journeys,
        "journeys": journeys,
        "begun": dict(reader.rows(sql.JOURNEYS_BY_DAY)),
    }


def _read_friction(reader: _Reader) -> dict[str, Any]:
    return {
        "frictions": _rules(reader.rows(sql.FRICTIONS)),
        "customers_hit": Part(*reader.one(sql.CUSTOMERS_HIT)),
        "hurt": dict(reader.rows(sql.FRICTIONS_BY_DAY)),
        "hours": {(weekday, hour): count for weekday, hour, count in reader.rows(sql.FRICTIONS_BY_HOUR)},
        "stores": tuple(StoreCount(*row) for row in reader.rows(sql.FRICTIONS_BY_STORE)),
    }


def _read_promises(reader: _Reader) -> dict[str, Any]:
    on_time = None if reader.store else Part(*reader.one(sql.ON_TIME))
    return {"promises": tuple(Promises(*row) for row in reader.rows(sql.PROMISES)), "on_time": on_time}


def _read_contacts(reader: _Reader) -> dict[str, Any]:
    return {
        "contacts": None if reader.store else _contacts(reader),
        "waits": tuple(Waits(*row) for row in reader.rows(sql.WAITS)),
        "complaints": Complaints(*reader.one(sql.COMPLAINTS)),
    }


def _contacts(reader: _Reader) -> Contacts:
    topics = tuple(TopicCount(*row) for row in reader.rows(sql.REPEATS))
    repeats = Part(sum(each.repeats for each in topics), sum(each.contacts for each in topics))
    judged = Span(reader.settled.first, reader.span.end, reader.span.zone)
    return Contacts(repeats, Part(*reader.one(sql.SOLVED, judged)), Part(*reader.one(sql.WISMO)), topics)


def _read_surveys(reader: _Reader) -> dict[str, Any]:
    if reader.store:
        return {"surveys": None}
    return {"surveys": {metric: Survey(*counts) for metric, *counts in reader.rows(sql.SURVEYS)}}


def _read_delight(reader: _Reader) -> dict[str, Any]:
    found: dict[str, Any] = {"delights": _rules(reader.rows(sql.DELIGHTS))}
    if reader.store:
        return found
    silent = tuple(Silent(name, day, tuple(rules)) for name, day, rules in reader.rows(sql.SILENT))
    return found | {
        "recovered": Part(*reader.one(sql.RECOVERED, reader.settled)),
        "silent": silent,
        "silent_count": reader.one(sql.SILENT_COUNT)[0],
    }


_READERS: tuple[Callable[[_Reader], dict[str, Any]], ...] = (
    _read_journeys, _read_friction, _read_promises, _read_contacts, _read_surveys, _read_delight,
)  # fmt: skip


def _rules(rows: Rows) -> tuple[RuleCount, ...]:
    return tuple(RuleCount(rule, count, customers, tuple(map(str, ids))) for rule, count, customers, ids in rows)


def _stamp(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}.000"
