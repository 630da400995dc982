import json
from collections import Counter
from itertools import islice, pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.simulator import as_ndjson, disorder, lived
from tests.producers.simulator.lives import START, START_MS, crowded_shop, occurred_ms


def life(count: int = 1_000) -> list[dict[str, Any]]:
    return list(islice(crowded_shop(1).touchpoints(), count))


def test_lines_are_the_touchpoints() -> None:
    lines = list(as_ndjson(life()))
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in lines)
    assert [json.loads(line) for line in lines] == life()


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    late_share=st.floats(0, 1),
    max_late_seconds=st.floats(0, 1e6),
    duplicate_share=st.floats(0, 1),
)
def test_disorder_loses_nothing_and_is_late_within_its_bound(
    seed: int, late_share: float, max_late_seconds: float, duplicate_share: float
) -> None:
    ordered = life(300)
    arrived = list(disorder(ordered, seed, late_share, max_late_seconds, duplicate_share))
    assert arrived == list(disorder(ordered, seed, late_share, max_late_seconds, duplicate_share))
    copies = Counter(touchpoint["event_id"] for touchpoint in arrived)
    assert copies.keys() == {touchpoint["event_id"] for touchpoint in ordered}
    assert set(copies.values()) <= {1, 2}
    newest_ms = 0
    for touchpoint in arrived:
        newest_ms = max(newest_ms, occurred_ms(touchpoint))
        # A first copy and its second may each be late.
        assert newest_ms - occurred_ms(touchpoint) <= 2 * max_late_seconds * 1000 + 1


def test_disorder_has_the_asked_shares() -> None:
    ordered = life(3_000)
    arrived = list(disorder(ordered, 1, late_share=0.3, max_late_seconds=86_400, duplicate_share=0.1))
    assert len(arrived) / len(ordered) == pytest.approx(1.1, abs=0.02)
    assert any(occurred_ms(later) < occurred_ms(earlier) for earlier, later in pairwise(arrived))


def test_no_disorder_is_the_order_of_occurrence() -> None:
    assert list(disorder(life(), 1)) == life()


def test_a_share_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        list(disorder(life(1), 1, late_share=2))


def test_a_lived_shop_has_much_of_its_rate_from_the_first_minute_on() -> None:
    seconds = Counter[int]()
    for due_seconds, touchpoint in lived(1, START, 50_000, 100.0):
        assert due_seconds == (occurred_ms(touchpoint) - START_MS) / 1000
        if due_seconds >= 60:
            break
        seconds[int(due_seconds)] += due_seconds >= 0
    assert 50 < seconds.total() / 60 < 110
