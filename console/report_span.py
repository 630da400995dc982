"""Which days a report is about, and which it is compared with. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from schemas.errors import Misconfigured
from schemas.zones import read_zone

WEEK = timedelta(days=7)
MAX_DAYS = 92
_WEEK_NAME = re.compile(r"(\d{4})-W(\d\d)", re.ASCII)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


@dataclass(frozen=True)
class Span:
    """Whole days of one time zone, from `first` to before `end`."""

    first: date
    end: date
    zone: str = "UTC"

    @property
    def since(self) -> datetime:
        """The moment at which it begins, UTC."""
        return _midnight(self.first, read_zone(self.zone))

    @property
    def until(self) -> datetime:
        """The first moment after it, UTC."""
        return _midnight(self.end, read_zone(self.zone))

    @property
    def days(self) -> tuple[date, ...]:
        """Its days."""
        return tuple(self.first + timedelta(days=number) for number in range((self.end - self.first).days))

    @property
    def name(self) -> str:
        """`2026-W37` for a week from Monday to Sunday, else its first and last day."""
        year, week, weekday = self.first.isocalendar()
        if weekday == 1 and self.end - self.first == WEEK:
            return f"{year}-W{week:02}"
        return f"{self.first}_{self.end - timedelta(days=1)}"

    def earlier(self, by: timedelta) -> Span:
        """The span that lies so many days before."""
        return Span(self.first - by, self.end - by, self.zone)

    def before(self) -> Span:
        """The span of the same length that ends where this one begins."""
        return self.earlier(self.end - self.first)


def choose_span(week: str | None, since: str | None, until: str | None, zone: str, now: datetime) -> Span:
    """The span that was asked for; the last whole week where none was. Raises `Misconfigured`."""
    try:
        today = now.astimezone(read_zone(zone)).date()
    except ValueError as error:
        raise Misconfigured(str(error)) from error
    if week is not None and (since is not None or until is not None):
        raise Misconfigured("give either --week, or --since and --until")
    if week is not None:
        return _check(_week_of(week), zone, today)
    if since is not None and until is not None:
        return _check((_day_of(since), _day_of(until)), zone, today)
    if since is not None or until is not None:
        raise Misconfigured("--since and --until belong together: both are days, the second is the first one left out")
    monday = today - timedelta(days=today.weekday())
    return Span(monday - WEEK, monday, zone)


def _check(days: tuple[date, date], zone: str, today: date) -> Span:
    first, end = days
    if end <= first:
        raise Misconfigured(f"{first} to before {end} is no day at all: --until is the first day left out")
    if (end - first).days > MAX_DAYS:
        raise Misconfigured(f"{(end - first).days} days are too many for one report: at most {MAX_DAYS}")
    if first > today:
        raise Misconfigured(f"{first} has not come yet")
    if first.year < 1971 or end.year > 2200:
        raise Misconfigured(f"{first} to before {end} is too far from today")
    return Span(first, end, zone)


def _week_of(text: str) -> tuple[date, date]:
    found = _WEEK_NAME.fullmatch(text)
    try:
        if found is None:
            raise ValueError
        monday = date.fromisocalendar(int(found[1]), int(found[2]), 1)
        return monday, monday + WEEK
    except (ValueError, OverflowError) as error:
        raise Misconfigured(f"{text!r} is no week: write it as 2026-W37, from W01 to W52 or W53") from error


def _day_of(text: str) -> date:
    try:
        if not _DAY.fullmatch(text):
            raise ValueError
        return date.fromisoformat(text)
    except ValueError as error:
        raise Misconfigured(f"{text!r} is no day: write it as 2026-09-07") from error


def _midnight(day: date, zone: tzinfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)
