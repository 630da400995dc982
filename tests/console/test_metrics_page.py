import bisect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.metrics_page import Samples, interpolate, parse_metrics

BOUNDS = (0.1, 0.5, 1.0, 5.0)
PAGE = """# TYPE journeys_lag_records gauge
journeys_lag_records{topic="touchpoints",partition="0"} 3
journeys_lag_records{topic="touchpoints-rekeyed",partition="0"} 4
# TYPE journeys_dead_letters_total counter
journeys_dead_letters_total{reason="too_old"} 2
"""


def test_pages_add_up() -> None:
    both = parse_metrics([PAGE, PAGE])
    assert both.total("lag_records") == 14
    assert both.total("lag_records", topic="touchpoints") == 6
    assert both.by_label("dead_letters_total", "reason") == {"too_old": 4}
    assert both.minus(parse_metrics([PAGE])).total("dead_letters_total") == 2
    assert both.total("unheard_of") == 0


def test_no_page_is_nothing() -> None:
    assert parse_metrics([]).quantile_seconds("event_to_queryable_seconds", 0.5) is None


@given(st.lists(st.floats(0.0, 4.9), min_size=1), st.sampled_from([0.5, 0.95, 1.0]))
def test_a_quantile_lies_in_the_bucket_of_the_true_one(values: list[float], quantile: float) -> None:
    ordered = sorted(values)
    buckets = [(bound, float(bisect.bisect_right(ordered, bound))) for bound in (*BOUNDS, float("inf"))]
    found = interpolate(buckets, quantile)
    true = ordered[max(0, -int(-quantile * len(ordered) // 1) - 1)]
    upper = next(bound for bound in BOUNDS if true <= bound)
    lower = max((bound for bound in BOUNDS if bound < upper), default=0.0)
    assert found is not None and lower - 1e-9 <= found <= upper + 1e-9


def test_what_lies_beyond_the_last_bound_counts_as_the_last_bound() -> None:
    assert interpolate([(1.0, 0.0), (float("inf"), 5.0)], 0.5) == 1.0


def test_empty_histograms_have_no_quantile() -> None:
    assert interpolate([], 0.5) is None
    assert interpolate([(1.0, 0.0)], 0.5) is None


def test_text_that_is_no_metrics_page_is_refused() -> None:
    with pytest.raises(ValueError):
        parse_metrics(["<html>"])
    assert Samples({}).total("lag_records") == 0
