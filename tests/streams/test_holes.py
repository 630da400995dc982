"""Whoever reads past a hole loses what fills it later; whoever waits for one that stays stands still for ever."""

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.holes import MOST_IN_VAIN, PATIENCE_SECONDS, Holes

pytestmark = pytest.mark.no_cover

PLACE = ("touchpoints", 3)


class Read(NamedTuple):
    offset: int


def reads(*offsets: int) -> list[Read]:
    return [Read(offset) for offset in offsets]


def test_what_follows_without_a_hole_is_taken_whole() -> None:
    holes = Holes()
    assert holes.cut(PLACE, reads(5, 6, 7), 5, 0.0) == (3, None)
    assert holes.cut(PLACE, reads(8), 8, 0.0) == (1, None)


def test_what_stands_before_a_hole_is_taken_and_the_rest_read_again_until_the_hole_has_filled() -> None:
    holes = Holes()
    assert holes.cut(PLACE, reads(5, 6, 9, 10), None, 0.0) == (2, 7)
    assert holes.cut(PLACE, reads(9, 10), 7, 0.1) == (0, 7)
    assert holes.cut(PLACE, reads(7, 8, 9, 10), 7, 0.2) == (4, None)


def test_a_hole_before_the_first_that_is_read_counts_from_where_it_is_read() -> None:
    holes = Holes()
    assert holes.cut(PLACE, reads(4, 5), 3, 0.0) == (0, 3)
    assert Holes().cut(PLACE, reads(4, 5), None, 0.0) == (2, None)


def test_a_hole_that_stays_is_believed_after_a_while() -> None:
    holes = Holes()
    assert holes.cut(PLACE, reads(4, 5), 3, 0.0) == (0, 3)
    # What was on its way when the patience ended says nothing yet: it takes one more look.
    assert holes.cut(PLACE, reads(4, 5), 3, PATIENCE_SECONDS) == (0, 3)
    assert holes.cut(PLACE, reads(4, 5), 3, PATIENCE_SECONDS + 0.02) == (2, None)


def test_what_was_on_its_way_behind_the_next_chunk_is_never_taken_for_it() -> None:
    holes = Holes()
    assert holes.cut(PLACE, reads(4, 5), 3, 0.0) == (0, 3)
    # Both were read before the partition was sent back; however late they come, 4 is still to be taken.
    assert holes.cut(PLACE, reads(6, 7), 3, 0.1) == (0, None)
    assert holes.cut(PLACE, reads(8, 9), 3, 60.0) == (0, 3)
    assert holes.cut(PLACE, reads(4, 5), 3, 60.1) == (0, 3)
    assert holes.cut(PLACE, reads(4, 5), 3, 61.0) == (0, 3)
    assert holes.cut(PLACE, reads(4, 5), 3, 61.1) == (2, None)


def test_where_holes_always_stay_nobody_waits_for_the_next_one() -> None:
    holes, now = Holes(), 0.0
    for number in range(MOST_IN_VAIN):
        hole = reads(10 * number + 1)
        assert holes.cut(PLACE, hole, 0, now)[1] is not None
        now += PATIENCE_SECONDS
        assert holes.cut(PLACE, hole, 0, now)[1] is not None
        assert holes.cut(PLACE, hole, 0, now) == (1, None)
    assert holes.cut(PLACE, reads(100, 102, 110), 0, now) == (3, None)
    other = ("identity-links", 3)
    assert holes.cut(other, reads(100, 102), 100, now) == (1, 101)


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 4), st.booleans()), max_size=12), st.data())
def test_nothing_is_lost_however_late_batches_become_visible_and_it_always_ends(
    batches: list[tuple[int, int, bool]], data: st.DataObject
) -> None:
    """Batches of some records, each seen only after some polls, or never, as where a log was compacted."""
    log: dict[int, int] = {}
    end = 0
    for length, polls, exists in batches:
        log |= {offset: polls for offset in range(end, end + length) if exists}
        end += length
    holes, position, expected, taken, now = Holes(), 0, 0, list[int](), 0.0
    for poll in range(200):
        # Each takes less than the patience all in all, so what exists is waited for.
        now += PATIENCE_SECONDS / 5 if poll < 5 else PATIENCE_SECONDS
        visible = [offset for offset, polls in log.items() if offset >= position and polls <= poll]
        fetched = reads(*visible[: data.draw(st.integers(1, 6))])
        if fetched:
            count, again = holes.cut(PLACE, fetched, expected, now)
            taken += [each.offset for each in fetched[:count]]
            expected = fetched[count - 1].offset + 1 if count else expected
            position = fetched[-1].offset + 1 if again is None else again
    assert taken == list(log)
