"""All partitions get on together in event time, and none waits for ever."""

from __future__ import annotations

import pytest

from schemas.topics import IDENTITY_LINKS, TOUCHPOINTS, TOUCHPOINTS_REKEYED
from streams.pace import MOST_PASSED_OVER, Pace, Place
from tests.streams.identity_world import Sent

FIRST, SECOND = (TOUCHPOINTS, 0), (TOUCHPOINTS, 1)


def at(hour: int) -> Sent:
    return Sent(b'{"event_id": "e", "occurred_at": "2026-09-01T%02d:00:00.000Z"}' % hour)


def test_the_partition_that_lags_is_read_first() -> None:
    pace, both = Pace(), {FIRST, SECOND}
    pace.note({FIRST: [at(9)], SECOND: [at(8)]})
    assert pace.choose(both, both) == {SECOND}
    # The last one may be late.
    pace.note({SECOND: [at(10), at(3)]})
    assert pace.choose(both, both) == {FIRST}


def test_partitions_end_at_about_the_same_hour_however_they_began() -> None:
    pace, hours = Pace(), {(TOUCHPOINTS, number): number * 5 for number in range(4)}
    while max(hours.values()) < 23:
        [place] = pace.choose(hours, hours)
        hours[place] += 1
        pace.note({place: [at(hours[place])]})
    assert min(hours.values()) >= 20


def test_what_has_not_come_yet_holds_nobody_up() -> None:
    pace, both = Pace(), {FIRST, SECOND}
    pace.note({FIRST: [at(9)], SECOND: [at(1)]})
    assert FIRST in pace.choose({FIRST}, both)
    assert pace.choose(set(), both) == both
    # What was fetched of a partition that is not active stays.
    assert pace.choose(both, {FIRST}) == {FIRST}


def test_other_topics_are_read_whatever_the_time() -> None:
    links, rekeyed = (IDENTITY_LINKS, 0), (TOUCHPOINTS_REKEYED, 1)
    places: set[Place] = {FIRST, SECOND, links, rekeyed}
    pace = Pace()
    pace.note({FIRST: [at(9)], SECOND: [at(8)], links: [at(20)]})
    assert pace.choose(places, places) == {SECOND, links, rekeyed}


def test_a_partition_whose_clock_is_ahead_is_passed_over_only_so_often() -> None:
    pace, both = Pace(), {FIRST, SECOND}
    pace.note({FIRST: [at(23)], SECOND: [at(1)]})
    chosen = [pace.choose(both, both) for _ in range(2 * MOST_PASSED_OVER + 2)]
    assert chosen.count({FIRST}) == 2


UNREADABLE = {
    "nothing": None,
    "empty": b"",
    "no object": b"[]",
    "no text": b"\xff",
    "number": b'{"occurred_at": 7}',
    "word": b'{"occurred_at": "yesterday"}',
    "too deep": b'{"properties": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "before all time": b'{"occurred_at": "0001-01-01T00:00:00"}',
}


@pytest.mark.parametrize("value", UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_read_says_nothing_of_the_time(value: bytes | None) -> None:
    pace, both = Pace(), {FIRST, SECOND}
    pace.note({FIRST: [at(9)], SECOND: [at(8)]})
    pace.note({SECOND: [Sent(value)]})
    assert pace.choose(both, both) == {SECOND}
