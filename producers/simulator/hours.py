"""When the shop's people work and its customers stir, in Asia/Jerusalem. Times are epoch milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from random import Random
from typing import NamedTuple
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("Asia/Jerusalem")
SECOND_MS = 1_000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS


class Week(NamedTuple):
    """Opening and closing in hours after local midnight, Monday first; an equal pair is a closed day."""

    days: tuple[tuple[float, float], ...]


_SUNDAY_TO_THURSDAY = (9.0, 21.0)
STORE = Week((*[_SUNDAY_TO_THURSDAY] * 4, (8.5, 14.5), (20.0, 23.0), _SUNDAY_TO_THURSDAY))
CALL_CENTRE = Week((*[(8.0, 22.0)] * 4, (8.0, 14.0), (0.0, 0.0), (8.0, 22.0)))
ALWAYS = Week(((0.0, 24.0),) * 7)

# Beginnings in each local hour: quiet nights, a rise at noon, a peak in the evening.
_BY_HOUR = (5, 3, 2, 1, 1, 2, 6, 14, 24, 32, 38, 40, 42, 40, 36, 34, 36, 40, 44, 50, 54, 48, 30, 14)
ACTIVITY = tuple(weight * len(_BY_HOUR) / sum(_BY_HOUR) for weight in _BY_HOUR)


@lru_cache(maxsize=4096)
def _offset_ms(hour: int) -> int:
    offset = datetime.fromtimestamp(hour * 3600, UTC).astimezone(ZONE).utcoffset()
    return int(offset.total_seconds() * SECOND_MS) if offset else 0


def local_ms(at_ms: int) -> int:
    """Milliseconds of the local clock, counted as if it were UTC."""
    return at_ms + _offset_ms(at_ms // HOUR_MS)


def activity(at_ms: int) -> float:
    """How busy customers are at that local hour; 1 is the mean of a day."""
    return ACTIVITY[local_ms(at_ms) // HOUR_MS % 24]


def midnight_ms(at_ms: int) -> int:
    """The local midnight that began the day of `at_ms`."""
    return at_ms - local_ms(at_ms) % DAY_MS


def at_hour(at_ms: int, hour: float) -> int:
    """That hour of the local day of `at_ms`."""
    return midnight_ms(at_ms) + int(hour * HOUR_MS)


def open_from(at_ms: int, week: Week, rng: Random) -> int:
    """`at_ms` when it is open then, otherwise a moment within the next opening, not all at its first minute."""
    for day in range(8):
        moment = at_ms if day == 0 else midnight_ms(at_ms) + day * DAY_MS + HOUR_MS
        weekday = (local_ms(moment) // DAY_MS + 3) % 7
        opens, closes = (at_hour(moment, hour) for hour in week.days[weekday])
        if opens <= at_ms < closes:
            return at_ms
        if at_ms < opens < closes:
            return opens + int((closes - opens) * 0.9 * rng.random())
    raise ValueError("a week that never opens")
