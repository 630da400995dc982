"""Open time: counted by hand on the days that go wrong, and consistent on all others."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import Misconfigured
from streams.rules.calendars import Calendar, Opening, parse_calendars
from streams.rules.loading import SHIPPED

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
GOOD = """
shop:
  zone: Asia/Jerusalem
  hours:
    sun: ["09:00-21:00"]
  holidays: IL
"""


@cache
def shipped() -> dict[str, Calendar]:
    return parse_calendars((SHIPPED / "calendars.yaml").read_text("utf-8"), "calendars.yaml")


def calendar(zone: str, hours: dict[str, list[str]] | list[str], **more: Any) -> Calendar:
    by_day = hours if isinstance(hours, dict) else dict.fromkeys(WEEK, hours)
    return Calendar(Opening.model_validate({"zone": zone, "hours": by_day, **more}))


def at(text: str, zone: str = "Asia/Jerusalem", fold: int = 0) -> int:
    """Epoch milliseconds of a local time as `2026-11-26 18:00`."""
    local = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)
    return int(local.timestamp() * 1000)


@pytest.mark.parametrize(
    ("start", "hours", "due"),
    [
        ("2026-11-24 10:00", 4, "2026-11-24 14:00"),
        # Thursday evening goes on in Friday's short hours, Friday noon on Sunday.
        ("2026-11-26 18:00", 4, "2026-11-27 09:30"),
        ("2026-11-27 13:00", 2, "2026-11-29 10:00"),
        ("2026-11-28 12:00", 1, "2026-11-29 10:00"),
        # Open time that ends with the day ends then, not when the next one begins.
        ("2026-11-24 20:00", 1, "2026-11-24 21:00"),
        ("2026-11-24 22:00", 12, "2026-11-25 21:00"),
        # Rosh Hashanah 2026 is Saturday and Sunday.
        ("2026-09-11 13:00", 2, "2026-09-14 10:00"),
        ("2026-12-31 20:00", 2, "2027-01-01 09:30"),
        # The clock is put forward on Friday 2026-03-27 and back on Sunday 2026-10-25, both before opening.
        ("2026-03-26 20:00", 2, "2026-03-27 09:30"),
        ("2026-10-23 13:00", 2, "2026-10-25 10:00"),
    ],
)
def test_a_due_time_in_the_shipped_store_hours(start: str, hours: int, due: str) -> None:
    store = shipped()["store_hours"]
    assert store.add_open(at(start), hours * HOUR) == at(due)
    assert store.open_between(at(start), at(due)) == hours * HOUR


def test_a_week_of_the_shipped_calendars() -> None:
    week = at("2026-11-22 00:00"), at("2026-11-29 00:00")
    assert shipped()["store_hours"].open_between(*week) == 5 * 12 * HOUR + 5 * HOUR + 30 * MINUTE
    assert shipped()["call_centre"].open_between(*week) == 5 * 12 * HOUR + 5 * HOUR


def test_a_year_of_the_shipped_store_hours_counts_every_holiday() -> None:
    # 2025: 52 Fridays and 261 days from Sunday to Thursday. Holidays: Pesach (Sun, Sat), Independence Day (Thu),
    # Shavuot (Mon), Rosh Hashanah (Tue, Wed), Yom Kippur (Thu), Sukkot (Tue), Simchat Torah (Tue).
    opened = shipped()["store_hours"].open_between(at("2025-01-01 00:00"), at("2026-01-01 00:00"))
    assert opened == (261 - 8) * 12 * HOUR + 52 * (5 * HOUR + 30 * MINUTE)


def test_no_time_passes_while_it_is_closed_and_none_without_a_span() -> None:
    store = shipped()["store_hours"]
    saturday = at("2026-11-28 12:00")
    assert store.open_between(at("2026-11-27 14:00"), at("2026-11-29 09:00")) == 0
    assert store.add_open(saturday, 0) == saturday and store.open_between(saturday, saturday - DAY) == 0


@pytest.mark.parametrize("block", range(318, 330))
def test_what_ends_with_the_last_opening_of_a_block_of_days_is_due_then(block: int) -> None:
    store, start, end = shipped()["store_hours"], block * 64 * DAY, (block + 1) * 64 * DAY
    span = store.open_between(start, end)
    assert store.add_open(start, span) <= end < store.add_open(start, span + 1)


def test_several_openings_a_day_and_one_until_midnight() -> None:
    berlin = calendar("Europe/Berlin", {"mon": ["14:00-24:00", "09:00-12:00"], "tue": ["00:00-02:00"]})
    monday = at("2026-11-23 11:00", "Europe/Berlin")
    assert berlin.add_open(monday, 2 * HOUR) == at("2026-11-23 15:00", "Europe/Berlin")
    assert berlin.add_open(monday, 12 * HOUR) == at("2026-11-24 01:00", "Europe/Berlin")


def test_the_leap_of_the_clock_is_no_time_and_its_repeated_hour_is_two() -> None:
    night = calendar("Europe/Berlin", ["01:00-04:00"])
    for day, hours in (("2026-03-29", 2), ("2026-10-25", 4), ("2026-10-26", 3)):
        midnight = at(f"{day} 00:00", "Europe/Berlin")
        assert night.open_between(midnight, midnight + DAY) == hours * HOUR, day
    assert (
        night.add_open(at("2026-03-29 00:00", "Europe/Berlin"), HOUR + 1) == at("2026-03-29 03:00", "Europe/Berlin") + 1
    )


def test_hours_within_the_leap_never_come_and_those_within_the_repetition_come_twice() -> None:
    short = calendar("Europe/Berlin", ["02:15-02:45"])
    leap, twice = at("2026-03-29 00:00", "Europe/Berlin"), at("2026-10-25 00:00", "Europe/Berlin")
    assert short.open_between(leap, leap + DAY) == 0
    assert short.open_between(twice, twice + DAY) == HOUR
    second = at("2026-10-25 02:15", "Europe/Berlin", fold=1)
    assert short.add_open(twice, 30 * MINUTE + 1) == second + 1


def test_a_day_around_the_clock_has_the_hours_that_it_had() -> None:
    always = calendar("Asia/Jerusalem", ["00:00-24:00"])
    for start, end in (("2026-03-27", "2026-03-28"), ("2026-10-25", "2026-10-26"), ("2026-01-01", "2027-01-01")):
        span = at(f"{end} 00:00") - at(f"{start} 00:00")
        assert always.open_between(at(f"{start} 00:00"), at(f"{end} 00:00")) == span


def test_a_zone_that_left_out_a_day_was_closed_on_it() -> None:
    apia = calendar("Pacific/Apia", ["09:00-17:00"])
    assert (
        apia.open_between(at("2011-12-29 00:00", "Pacific/Apia"), at("2012-01-01 00:00", "Pacific/Apia")) == 16 * HOUR
    )


def test_days_of_their_own_come_before_closed_days_holidays_and_weekdays() -> None:
    more = {"holidays": "IL", "closed": ["2026-11-24"], "extra": {"2026-09-13": ["10:00-12:00"], "2026-11-25": []}}
    shop = calendar("Asia/Jerusalem", ["09:00-17:00"], **more)
    opened = {
        day: shop.open_between(at(f"{day} 00:00"), at(f"{day} 00:00") + DAY) // HOUR
        for day in ("2026-09-12", "2026-09-13", "2026-09-14", "2026-11-24", "2026-11-25", "2026-11-26")
    }
    assert list(opened.values()) == [0, 2, 8, 0, 0, 8]


def test_holidays_may_be_open_and_differ_by_country_and_its_parts() -> None:
    def opened(day: str, **more: Any) -> int:
        midnight = at(f"{day} 00:00", "Europe/Berlin")
        return calendar("Europe/Berlin", ["09:00-17:00"], **more).open_between(midnight, midnight + DAY) // HOUR

    assert opened("2026-12-25") == opened("2026-12-25", holidays="DE", holidays_open=True) == 8
    assert opened("2026-12-25", holidays="DE") == opened("2026-01-06", holidays="DE-BY") == 0
    assert opened("2026-01-06", holidays="DE-BE") == 8


def test_due_times_that_mean_none_are_answered_too() -> None:
    store, year_1, year_9999 = shipped()["store_hours"], -62_135_596_800_000, 253_402_300_799_000
    since = store.open_between(year_1, at("2026-11-24 00:00"))
    assert since == store.open_between(0, at("2026-11-24 00:00")) > 0
    assert store.add_open(year_1, since + HOUR) == at("2026-11-24 10:00")
    assert store.add_open(year_9999, HOUR) == year_9999 + HOUR
    assert store.open_between(year_9999 - HOUR, year_9999) == HOUR
    far = store.open_between(at("2026-11-24 00:00"), year_9999)
    assert store.add_open(at("2026-11-24 00:00"), far) == year_9999


SPANS = st.integers(1, 200 * DAY)
# Around the changes of the clock and the turn of the year at least as often as anywhere else.
NEAR = st.sampled_from([at("2026-03-27 02:00"), at("2026-10-25 02:00"), at("2026-01-01 00:00"), at("2026-09-12 00:00")])
MOMENTS = st.builds(lambda near, off: near + off, NEAR, st.integers(-3 * DAY, 3 * DAY)) | st.integers(
    at("1999-01-01 00:00"), at("2045-01-01 00:00")
)


@st.composite
def openings(draw: st.DrawFn) -> Opening:
    """Calendars with hours at quarters of an hour on some weekdays, days of their own, holidays or none."""

    def hours() -> list[str]:
        marks = sorted(draw(st.sets(st.integers(0, 96), max_size=6)))
        pairs = zip(marks[::2], marks[1::2], strict=False)
        return [f"{a // 4:02}:{a % 4 * 15:02}-{b // 4:02}:{b % 4 * 15:02}" for a, b in pairs]

    days = draw(st.lists(st.dates(date(2026, 1, 1), date(2026, 12, 31)), max_size=4, unique=True))
    return Opening.model_validate(
        {
            "zone": draw(
                st.sampled_from(["Asia/Jerusalem", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia"])
            ),
            "hours": {day: hours() for day in WEEK[:6]} | {"sun": ["09:00-21:00"]},
            "holidays": draw(st.sampled_from(["none", "IL"])),
            "closed": [str(day) for day in days[::2]],
            "extra": {str(day): hours() for day in days[1::2]},
        }
    )


def naive(opening: Opening, start_ms: int, end_ms: int) -> int:
    """Open time by looking at the clock on the wall every quarter of an hour."""
    zone, plain, opened = ZoneInfo(opening.zone), Calendar(opening), 0
    for moment_ms in range(start_ms, end_ms, 15 * MINUTE):
        wall = datetime.fromtimestamp(moment_ms / 1000, UTC).astimezone(zone)
        minute = wall.hour * 60 + wall.minute
        hours = plain._hours_of(wall.date())
        opened += any(each.opens_minute <= minute < each.closes_minute for each in hours) * 15 * MINUTE
    return opened


@settings(deadline=None)
@given(openings(), MOMENTS, st.integers(1, 400))
def test_open_time_is_when_the_clock_on_the_wall_says_so(opening: Opening, moment: int, quarters: int) -> None:
    start = moment - moment % (15 * MINUTE)
    end = start + quarters * 15 * MINUTE
    assert Calendar(opening).open_between(start, end) == naive(opening, start, end)


@settings(deadline=None)
@given(openings(), MOMENTS, SPANS, SPANS)
def test_adding_and_counting_agree_and_never_go_back(opening: Opening, start: int, span: int, more: int) -> None:
    days = Calendar(opening)
    due = days.add_open(start, span)
    assert due >= start + span and days.open_between(start, due) == span
    assert days.open_between(start, due - 1) == span - 1
    assert days.add_open(start, span + more) > due and days.add_open(start + more, span) >= due
    assert days.add_open(due, more) == days.add_open(start, span + more)
    middle = start + more
    assert days.open_between(start, middle + more) == days.open_between(start, middle) + days.open_between(
        middle, middle + more
    )


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("sun: [", "sunday: [", "5: shop.hours.sunday: write mon or tue or wed or thu or fri or sat or"),
        ("zone: Asia/Jerusalem", "zone: Jerusalem", "3: shop.zone: 'Jerusalem' is no time zone that is known here"),
        ("zone:", "zon:", "3: shop.zon: unknown key; did you mean zone? known are zone, hours, holidays"),
        ('"09:00-21:00"', '"9-21"', "5: shop.hours.sun.0: '9-21' is no opening time: write it as \"09:00-17:30\""),
        ('"09:00-21:00"', '"21:00-09:00"', "5: shop.hours.sun.0: '21:00-09:00' ends before it begins: for a night"),
        ('"09:00-21:00"', '"09:00-24:01"', "the day's times go from 00:00 to 24:00"),
        ('"09:00-21:00"', '"09:60-21:00"', "the day's times go from 00:00 to 24:00"),
        ('"09:00-21:00"', '"09:00-21:00", "20:59-22:00"', "5: shop.hours.sun: two of these opening times overlap"),
        ('["09:00-21:00"]', "09:00-21:00", "5: shop.hours.sun: write a list, such as [a, b]"),
        ('["09:00-21:00"]', "[]", "2: shop: it is never open: give at least one weekday hours"),
        ("holidays: IL", "holidays: XX", "6: shop.holidays: no holidays are known for 'XX': write a country as IL"),
        ("holidays: IL", "holidays: DE-XX", "6: shop.holidays: no holidays are known for 'DE-XX'"),
        ("holidays: IL", "holidays: NO", '6: shop.holidays: YAML reads NO as a truth: write it in quotes, "NO"'),
        ("holidays: IL", "closed: [2026-12-01, 2026-13-01]", "6: shop.closed.1: '2026-13-01' is no day: write"),
        ("holidays: IL", "extra: {christmas: []}", "6: 'christmas' is no day: write it as 2026-12-24"),
        ("holidays: IL", "extra: {2026-12-01: []}\n  closed: [2026-12-01]", "2: shop: 2026-12-01 stands in `closed`"),
        ("shop:", "Shop:", "2: 'Shop' is no name for a calendar: write it in small letters"),
        ("shop:", "shop: 5\nother:", "2: shop: write keys with their values; its keys are zone, hours, holidays"),
        ("shop:", "shop: {}\nshop:", "3: not YAML: 'shop' stands twice"),
        (GOOD, "", "1: is empty: a file of calendars has a name for each, and under it `zone:` and `hours:`"),
    ],
)  # fmt: skip
def test_a_faulty_file_is_told_in_one_line_with_file_line_and_mend(old: str, new: str, told: str) -> None:
    assert old in GOOD
    with pytest.raises(Misconfigured) as refused:
        parse_calendars(GOOD.replace(old, new), "c.yaml")
    message = str(refused.value)
    assert told in message and "\n" not in message and message.startswith("c.yaml:")


def test_hours_that_are_always_a_holiday_are_never_open() -> None:
    days = [str(date(2026, 1, 4) + timedelta(days=7 * week)) for week in range(105)]
    with pytest.raises(Misconfigured, match="it is never open"):
        parse_calendars(GOOD + f"  closed: [{', '.join(days)}]\n", "c.yaml")
