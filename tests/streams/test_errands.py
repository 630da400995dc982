"""How soon the next flush comes, as errands wait for it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from streams.errands import HURRIED_FLUSHES, Haste

INTERVAL = timedelta(seconds=4)
AT_ONCE = timedelta(0)


def haste(*, is_pressing: bool = False, is_piling: bool = False) -> Haste:
    made = Haste()
    made.is_pressing, made.is_piling = is_pressing, is_piling
    return made


@pytest.mark.parametrize(
    ("is_pressing", "is_piling", "is_behind", "seconds"),
    [(False, False, False, 4), (True, False, False, 2), (True, False, True, 4), (True, True, True, 1)],
)
def test_errands_bring_a_flush_forward(is_pressing: bool, is_piling: bool, is_behind: bool, seconds: int) -> None:
    found = haste(is_pressing=is_pressing, is_piling=is_piling).shorten(INTERVAL, is_behind=is_behind)
    assert found == timedelta(seconds=seconds)


def test_what_is_left_to_move_after_a_backlog_is_moved_at_once_and_then_all_goes_its_usual_way() -> None:
    pressing = haste(is_pressing=True)
    for _ in range(3):
        assert pressing.shorten(INTERVAL, is_behind=True) == INTERVAL
    after = [pressing.shorten(INTERVAL, is_behind=False) for _ in range(HURRIED_FLUSHES + 2)]
    assert after == [AT_ONCE] * HURRIED_FLUSHES + [INTERVAL / 2] * 2


def test_the_end_of_a_backlog_alone_hurries_nothing() -> None:
    idle = haste()
    idle.shorten(INTERVAL, is_behind=True)
    assert idle.shorten(INTERVAL, is_behind=False) == INTERVAL
