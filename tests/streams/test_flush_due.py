import pytest

from schemas.settings import Settings
from streams.clock import ENDLESS
from streams.flushing import is_flush_due


@pytest.mark.parametrize(
    ("waiting", "left", "is_due"),
    [
        (90, 0, True),
        (89, 0, False),
        (90, 500, True),
        (89, ENDLESS, False),
        (30, 30, True),
        (29, 10, False),
        (60, 61, False),
        (61, 61, True),
        (89, 90, False),
    ],
)
def test_towards_the_end_of_a_backlog_fewer_rows_are_enough(waiting: int, left: int, is_due: bool) -> None:
    assert is_flush_due(waiting, Settings.model_construct(flush_rows=90, buffer_rows=1_000), left) is is_due


def test_a_flush_leaves_room_for_the_next() -> None:
    settings = Settings.model_construct(flush_rows=90, buffer_rows=100)
    assert is_flush_due(50, settings, 1_000)
    assert not is_flush_due(49, settings, 1_000)
