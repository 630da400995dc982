import pytest

from schemas.errors import Misconfigured
from streams.clock import check_clock

NOW_MS, BOUND_MS = 1_790_000_000_000, 300_000


@pytest.mark.parametrize(("theirs_ms", "said"), [(-300_001, "300 s ahead of"), (301_999, "301 s behind")])
def test_clocks_that_differ_are_told(theirs_ms: int, said: str) -> None:
    with pytest.raises(Misconfigured, match=f"this machine's clock is {said} ClickHouse's.*synchronise"):
        check_clock(NOW_MS, NOW_MS + theirs_ms, NOW_MS, BOUND_MS)


@pytest.mark.parametrize("theirs_ms", [-BOUND_MS, 0, BOUND_MS])
def test_a_little_is_no_matter(theirs_ms: int) -> None:
    check_clock(NOW_MS, NOW_MS + theirs_ms, NOW_MS, BOUND_MS)


def test_an_answer_that_was_long_on_its_way_says_nothing() -> None:
    check_clock(NOW_MS, NOW_MS + 500_000, NOW_MS + 900_000, BOUND_MS)
    check_clock(NOW_MS, NOW_MS + 1_000, NOW_MS + 900_000, BOUND_MS)
