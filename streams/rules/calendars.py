"""Business calendars: clocks that run in opening hours only, over weekends, holidays and changes of the clock."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Annotated, Any, Literal, NamedTuple

import holidays
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, RootModel, model_validator

from schemas.yaml_files import parse_yaml
from schemas.zones import Zone, read_zone

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MINUTE_MS = 60_000
_HOUR_MS = 60 * _MINUTE_MS
_DAY_MS = 24 * _HOUR_MS
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_INTERVAL = re.compile(r"(\d\d?):(\d\d)\s*-\s*(\d\d?):(\d\d)", re.ASCII)


class Interval(NamedTuple):
    """Open from one minute of the day (0 to 1439) until before another (to 1440)."""

    opens_minute: int
    closes_minute: int


def _read_interval(text: Any) -> Interval:
    found = _INTERVAL.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is None:
        raise ValueError(f'{text!r} is no opening time: write it as "09:00-17:30", in quotes')
    hours, minutes, until_hours, until_minutes = (int(part) for part in found.groups())
    interval = Interval(hours * 60 + minutes, until_hours * 60 + until_minutes)
    if max(minutes, until_minutes) > 59 or max(interval) > 24 * 60:
        raise ValueError(f"{text!r}: the day's times go from 00:00 to 24:00")
    if interval.opens_minute >= interval.closes_minute:
        raise ValueError(
            f'{text!r} ends before it begins: for a night write "22:00-24:00" and, the next day, "00:00-02:00"'
        )
    return interval


def _check_apart(intervals: tuple[Interval, ...]) -> tuple[Interval, ...]:
    ordered = tuple(sorted(intervals))
    if any(former.closes_minute > latter.opens_minute for former, latter in zip(ordered, ordered[1:], strict=False)):
        raise ValueError("two of these opening times overlap: write one for both")
    return ordered


def _read_day(text: Any) -> date:
    try:
        if isinstance(text, date):
            return text
        return date.fromisoformat(text)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{text!r} is no day: write it as 2026-12-24") from error


def _check_country(name: Any) -> Any:
    if name is False:
        raise ValueError('YAML reads NO as a truth: write it in quotes, "NO"')
    if isinstance(name, str) and name != "none":
        _holidays_of(name)
    return name


def _holidays_of(name: str) -> Mapping[date, str]:
    """The public holidays of `IL` or `DE-BY`, by day. Raises ValueError for what is no such place."""
    country, _, part = name.partition("-")
    try:
        return holidays.country_holidays(country, subdiv=part or None)
    except NotImplementedError as error:
        raise ValueError(
            f"no holidays are known for {name!r}: write a country as IL, with a part as DE-BY, or none"
        ) from error


Hours = Annotated[tuple[Annotated[Interval, BeforeValidator(_read_interval)], ...], AfterValidator(_check_apart)]
Day = Annotated[date, BeforeValidator(_read_day)]


class Opening(BaseModel):
    """One calendar as it is written: the zone, the hours of each weekday, and the days that are not like the others.

    `holidays`: a country (`IL`), with a part of it where holidays differ (`DE-BY`), or `none`; they are closed unless
    `holidays_open`. `closed` are further closed days; `extra` gives one day its own hours, whatever else is said of it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    zone: Zone
    hours: dict[Weekday, Hours]
    holidays: Annotated[str, BeforeValidator(_check_country)] = "none"
    holidays_open: bool = False
    closed: frozenset[Day] = frozenset()
    extra: dict[Day, Hours] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check_days(self) -> Opening:
        both = self.closed & self.extra.keys()
        if both:
            raise ValueError(f"{min(both)} stands in `closed` and in `extra`: leave it out of one")
        if not any(Calendar(self).open_days(year) for year in (2026, 2027)):
            raise ValueError("it is never open: give at least one weekday hours that are no holiday each time")
        return self


class _Block(NamedTuple):
    """The open intervals of some days: start and end of each, and the open time before it; all in milliseconds."""

    starts_ms: list[int]
    ends_ms: list[int]
    before_ms: list[int]
    total_ms: int


_BLOCK_DAYS = 64
_BLOCK_MS = _BLOCK_DAYS * _DAY_MS
_END = (date(2200, 1, 1).toordinal() - _EPOCH_DAY) // _BLOCK_DAYS
"""The block before which the calendar ends."""


class Calendar:
    """Counts open time. Times are epoch milliseconds; an interval is open from its first until before its last one.

    It knows the years from 1970 until shortly before 2200. A due time of the year 1 or 9999, as systems write for
    "none", must not cost minutes: before those years nothing is open, and after them everything.
    """

    def __init__(self, opening: Opening) -> None:
        self.opening = opening
        self._zone = read_zone(opening.zone)
        closes = opening.holidays != "none" and not opening.holidays_open
        self._holidays = _holidays_of(opening.holidays) if closes else {}
        self._blocks: dict[int, _Block] = {}

    def add_open(self, start_ms: int, span_ms: int) -> int:
        """The first moment at which `span_ms` of open time have passed since the start; the start itself for 0."""
        if span_ms <= 0:
            return start_ms
        index = max(start_ms // _BLOCK_MS, 0)
        block = self._block(index)
        wanted_ms = _opened(block, start_ms) + span_ms
        while wanted_ms > block.total_ms and index < _END:
            wanted_ms -= block.total_ms
            index += 1
            block = self._block(index)
        place = bisect_left(block.before_ms, wanted_ms) - 1
        return block.starts_ms[place] + wanted_ms - block.before_ms[place]

    def open_between(self, start_ms: int, end_ms: int) -> int:
        """Open milliseconds from the start until before the end; 0 where the end does not lie after the start."""
        if end_ms <= start_ms:
            return 0
        first, last = start_ms // _BLOCK_MS, end_ms // _BLOCK_MS
        whole_ms = sum(self._block(index).total_ms for index in range(max(first, 0), min(last, _END)))
        whole_ms += max(last - max(first, _END), 0) * _BLOCK_MS
        return whole_ms + _opened(self._block(last), end_ms) - _opened(self._block(first), start_ms)

    def open_days(self, year: int) -> int:
        """How many days of a year have opening times."""
        days = range(date(year, 1, 1).toordinal(), date(year + 1, 1, 1).toordinal())
        return sum(bool(self._hours_of(date.fromordinal(day))) for day in days)

    def _hours_of(self, day: date) -> tuple[Interval, ...]:
        opening = self.opening
        if day in opening.extra:
            return opening.extra[day]
        if day in opening.closed or day in self._holidays:
            return ()
        return opening.hours.get(WEEKDAYS[day.weekday()], ())

    def _block(self, index: int) -> _Block:
        block = self._blocks.get(index)
        if block is not None:
            return block
        if index < 0:
            return _Block([], [], [], 0)
        if index >= _END:
            return _Block([index * _BLOCK_MS], [(index + 1) * _BLOCK_MS], [0], _BLOCK_MS)
        block = self._blocks[index] = self._make_block(index)
        return block

    def _make_block(self, index: int) -> _Block:
        begin_ms = index * _BLOCK_MS
        end_ms = begin_ms + _BLOCK_MS
        starts_ms, ends_ms, before_ms, total_ms = [], [], [], 0
        for start_ms, stop_ms in self._intervals(index):
            start_ms, stop_ms = max(start_ms, begin_ms), min(stop_ms, end_ms)
            if start_ms < stop_ms:
                starts_ms.append(start_ms)
                ends_ms.append(stop_ms)
                before_ms.append(total_ms)
                total_ms += stop_ms - start_ms
        return _Block(starts_ms, ends_ms, before_ms, total_ms)

    def _intervals(self, index: int) -> Iterator[tuple[int, int]]:
        """Open intervals of a block in order, with those of the days on its edges."""
        first = index * _BLOCK_DAYS
        # The farthest zones are most of a day away from UTC, either way.
        for day in range(first - 1, first + _BLOCK_DAYS + 1):
            hours = self._hours_of(date.fromordinal(_EPOCH_DAY + day))
            if hours:
                yield from _to_utc(hours, day * _DAY_MS, self._zone)


def _opened(block: _Block, moment_ms: int) -> int:
    """Open milliseconds of a block before a moment in it."""
    place = bisect_right(block.starts_ms, moment_ms) - 1
    if place < 0:
        return 0
    return block.before_ms[place] + min(moment_ms, block.ends_ms[place]) - block.starts_ms[place]


def _to_utc(hours: tuple[Interval, ...], midnight_ms: int, zone: tzinfo) -> list[tuple[int, int]]:
    """When the clock on the wall shows those hours. `midnight_ms` is the local day's beginning, read as UTC.

    Where the clock is put forward, what it leaps over is no time at all; where it is put back, it shows an hour twice.
    """
    shown = [(midnight_ms + opens * _MINUTE_MS, midnight_ms + closes * _MINUTE_MS) for opens, closes in hours]
    # No zone is farther from UTC than this.
    from_ms, until_ms = midnight_ms - 16 * _HOUR_MS, midnight_ms + _DAY_MS + 16 * _HOUR_MS
    before_ms, after_ms = _offset(from_ms, zone), _offset(until_ms, zone)
    if before_ms == after_ms:
        return [(start_ms - before_ms, stop_ms - before_ms) for start_ms, stop_ms in shown]
    change_ms = _change(from_ms, until_ms, zone)
    first = [(start_ms - before_ms, min(stop_ms - before_ms, change_ms)) for start_ms, stop_ms in shown]
    second = [(max(start_ms - after_ms, change_ms), stop_ms - after_ms) for start_ms, stop_ms in shown]
    return [(start_ms, stop_ms) for start_ms, stop_ms in first + second if start_ms < stop_ms]


def _offset(moment_ms: int, zone: tzinfo) -> int:
    """Milliseconds by which a zone's clocks are ahead of UTC."""
    offset = (_EPOCH + timedelta(milliseconds=moment_ms)).astimezone(zone).utcoffset()
    return 0 if offset is None else offset // timedelta(milliseconds=1)


def _change(from_ms: int, until_ms: int, zone: tzinfo) -> int:
    """The moment between two with different offsets at which the clock is changed."""
    before_ms = _offset(from_ms, zone)
    while until_ms - from_ms > 1:
        middle_ms = (from_ms + until_ms) // 2
        if _offset(middle_ms, zone) == before_ms:
            from_ms = middle_ms
        else:
            until_ms = middle_ms
    return until_ms


def _check_calendar_name(name: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,40}", name):
        raise ValueError(f"{name!r} is no name for a calendar: write it in small letters, digits and _, as store_hours")
    return name


CalendarName = Annotated[str, AfterValidator(_check_calendar_name)]


class _Calendars(RootModel[dict[CalendarName, Opening]]):
    pass


def parse_calendars(text: str, name: str) -> dict[str, Calendar]:
    """The calendars of a file, by name. Raises `Misconfigured`, one line naming file, line and mend."""
    expected = "a file of calendars has a name for each, and under it `zone:` and `hours:`"
    found = parse_yaml(text, name, _Calendars, expected).root
    return {calendar: Calendar(opening) for calendar, opening in found.items()}
