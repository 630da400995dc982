"""The words of a report and how its numbers and days are written, in English and Hebrew. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import NamedTuple

from console import report_words_en, report_words_he
from console.cells import printable
from console.report_html import LEFT_TO_RIGHT_ISOLATE, POP_ISOLATE, Markup, clean, tag
from console.report_measures import SMALLEST, Unit
from console.report_span import Span
from streams.friction.texts import Language, format_duration

MINUS = "\u2212"
_SECONDS: Mapping[Unit, float] = {"seconds": 1, "hours": 3_600}


class Said(NamedTuple):
    """What is said of one number: its name, what it means that it grew or shrank, and what it counts."""

    label: str
    more: str
    less: str
    definition: str


class Words:
    """One language."""

    def __init__(self, language: Language) -> None:
        module = report_words_he if language == "he" else report_words_en
        self.language: Language = language
        self.is_rtl = language == "he"
        self.texts: Mapping[str, str] = module.TEXTS
        self.values: Mapping[str, str] = module.VALUES
        self.weekdays: tuple[str, ...] = module.WEEKDAYS
        self._measures: Mapping[str, tuple[str, str, str, str]] = module.MEASURES
        self._months: tuple[str, ...] = module.MONTHS

    def __getitem__(self, name: str) -> str:
        return self.texts[name]

    def said(self, name: str) -> Said:
        """What is said of one number."""
        return Said(*self._measures[name])

    def fill(self, name: str, **given: str | int) -> str:
        """A text with its gaps filled; whole numbers are written as this language writes them."""
        shown = {key: self.count(value) if isinstance(value, int) else value for key, value in given.items()}
        return self.texts[name].format(**shown)

    def value(self, name: str) -> Markup:
        """The word for a channel, topic or kind, and what has none as it stands."""
        return Markup(clean(self.values[name])) if name in self.values else self.id(name)

    def id(self, name: str, element: str = "bdi") -> Markup:
        """A name out of the database, which keeps its own direction; element `tspan` where it stands in SVG."""
        # Isolates of ours pass `clean`, those of a name must not: they could end ours.
        return tag(element, printable(name), class_="id")

    def count(self, number: float) -> str:
        """A whole number."""
        return self._isolate(f"{number:,.0f}")

    def number(self, value: float, unit: Unit) -> str:
        """A number with its unit."""
        if unit in _SECONDS:
            return self.seconds(value * _SECONDS[unit])
        return self._isolate(_plain(value, unit))

    def seconds(self, value: float) -> str:
        """A duration."""
        return format_duration(value, self.language)

    def change(self, difference: float, before: float, unit: Unit) -> str:
        """A difference with its sign; of counts also as a part of what was before."""
        size = abs(difference)
        sign = "±" if size < SMALLEST[unit] else "+" if difference > 0 else MINUS
        if unit in _SECONDS:
            return f"{self._isolate(sign)}{self.seconds(size * _SECONDS[unit])}"
        if unit == "share":
            return f"{self._isolate(f'{sign}{100 * size:.1f}')} {self['points']}"
        if unit == "count":
            part = f" ({sign}{100 * size / before:.0f}%)" if before and difference else ""
            return self._isolate(f"{sign}{size:,.0f}{part}")
        return self._isolate(f"{sign}{size:,.1f}")

    def day(self, day: date) -> str:
        """`7 Sep 2026`."""
        return f"{day.day} {self._months[day.month - 1]} {day.year}"

    def short_day(self, day: date) -> str:
        """Weekday and day of the month, for the foot of a chart."""
        return f"{self.weekdays[day.weekday()]} {day.day}"

    def span(self, span: Span) -> str:
        """First and last day."""
        return f"{self.day(span.first)} – {self.day(span.end - timedelta(days=1))}"

    def span_name(self, span: Span) -> str:
        """The number of a whole week, and first and last day of anything else."""
        if "W" not in span.name:
            return self.span(span)
        year, week, _ = span.first.isocalendar()
        return self.texts["week"].format(week=week, year=year)

    def _isolate(self, text: str) -> str:
        # A sign before a number would be shown behind it among Hebrew.
        return f"{LEFT_TO_RIGHT_ISOLATE}{text}{POP_ISOLATE}" if self.is_rtl else text


def _plain(value: float, unit: Unit) -> str:
    if unit == "share":
        return f"{100 * value:.1f}%"
    text = f"{abs(value):,.0f}" if unit == "count" else f"{abs(value):,.1f}"
    return f"{MINUS}{text}" if value < 0 and float(text.replace(",", "")) else text
