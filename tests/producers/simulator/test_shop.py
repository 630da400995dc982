from collections import Counter
from datetime import datetime, timedelta
from itertools import islice, pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.simulator import Shop, as_ndjson
from producers.simulator.hours import STORE
from producers.simulator.shop import MEAN_TOUCHPOINTS_PER_STORY, Run
from schemas.catalogue import CATALOGUE, FACT_TYPES
from schemas.identifiers import KINDS, PERSONAL_KINDS, Pseudonymiser, is_placeholder
from schemas.moments import from_epoch_ms, to_epoch_ms
from schemas.touchpoint import touchpoint_adapter
from tests.producers.simulator.lives import START, busy_shop, crowded_shop, occurred_ms


def told(shop: Shop, count: int = 3_000) -> list[dict[str, Any]]:
    return list(islice(shop.touchpoints(), count))


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**63), customers=st.integers(1, 500))
def test_the_same_arguments_tell_the_same_bytes(seed: int, customers: int) -> None:
    first, again = (b"".join(islice(as_ndjson(Shop(seed, START, customers).touchpoints()), 300)) for _ in range(2))
    assert first == again
    assert first != b"".join(islice(as_ndjson(Shop(seed + 1, START, customers).touchpoints()), 300))


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32), share=st.sampled_from([0.0, 0.5]), always_open=st.booleans())
def test_every_touchpoint_is_valid_and_in_order(seed: int, share: float, always_open: bool) -> None:
    life = told(crowded_shop(seed, anonymous_share=share, always_open=always_open), 1_500)
    for touchpoint in life:
        touchpoint_adapter().validate_python(touchpoint)
        assert touchpoint["identifiers"].keys() <= set(KINDS)
        assert not any(map(is_placeholder, touchpoint["identifiers"].values()))
    assert all(occurred_ms(earlier) <= occurred_ms(later) for earlier, later in pairwise(life))
    assert len({(t["source"], t["event_id"]) for t in life}) == len(life)


def test_a_life_goes_through_the_whole_catalogue() -> None:
    shop = crowded_shop(1, 60, customers=2_000, stories_per_day=150.0, anonymous_share=0.5)
    seen = {(touchpoint["source"], touchpoint["type"]) for touchpoint in shop.touchpoints()}
    # Merging customers is what a back office does, not what happens to one of them.
    assert {(entry.source, entry.name) for entry in CATALOGUE} - {("support", "customers_merged")} == seen


def test_facts_are_in_the_catalogue_and_name_nobody() -> None:
    models = {entry.name: entry.properties for entry in FACT_TYPES}
    facts = [payload for kind, payload in crowded_shop(2).happenings() if kind == "fact"]
    assert facts
    for fact in facts:
        models[fact["type"]].model_validate(fact["properties"])
        assert "identifiers" not in fact


def test_the_shop_tells_its_stock_in_more_than_one_way() -> None:
    facts = [payload for kind, payload in crowded_shop(2, 30).happenings() if kind == "fact"]
    assert {(fact["type"], "store_id" in fact["properties"]) for fact in facts} == {
        ("restocked", False),
        ("restocked", True),
        ("stock_level", True),
    }


def test_an_order_may_come_in_two_or_three_parcels_all_of_them_dispatched_before_they_arrive() -> None:
    parcels: dict[str, set[tuple[str, int]]] = {"dispatched": set(), "delivered": set()}
    counts = Counter[int]()
    for touchpoint in busy_shop(1).touchpoints():
        parcel_id = touchpoint["properties"].get("parcel_id")
        if parcel_id is None:
            continue
        parcel = parcel_id, touchpoint["properties"]["parcels"]
        assert touchpoint["type"] == "dispatched" or parcel in parcels["dispatched"]
        parcels[touchpoint["type"]].add(parcel)
        counts[touchpoint["properties"]["parcels"]] += touchpoint["type"] == "dispatched"
    assert parcels["delivered"] and counts.keys() == {2, 3}


def test_an_order_says_what_was_in_the_cart() -> None:
    carts: dict[str, set[str]] = {}
    orders = 0
    for touchpoint in told(crowded_shop(1)):
        mine = carts.setdefault(touchpoint["identifiers"]["customer_id"], set())
        if touchpoint["type"] == "cart_updated":
            mine.add(touchpoint["properties"]["sku"])
        elif touchpoint["type"] == "order_placed":
            orders += 1
            assert touchpoint["properties"]["sku"] in mine
    assert orders > 50


def test_every_touchpoint_carries_a_customer_id_unless_asked_otherwise() -> None:
    assert all("customer_id" in t["identifiers"] for t in told(crowded_shop(1)))


def test_anonymous_visits_name_only_the_browser_until_the_log_in() -> None:
    nameless = [t for t in told(crowded_shop(1, anonymous_share=1.0)) if "customer_id" not in t["identifiers"]]
    assert nameless and {t["source"] for t in nameless} == {"web"}
    assert all(t["identifiers"].keys() == {"anonymous_id"} for t in nameless)
    assert not {"identified", "order_placed"} & {t["type"] for t in nameless}


def test_who_logs_in_is_known_by_what_the_visitor_was_called_before() -> None:
    known = [t for t in told(crowded_shop(1, anonymous_share=1.0)) if t["type"] == "identified"]
    assert known and all({"anonymous_id", "customer_id"} <= t["identifiers"].keys() for t in known)


def test_personal_identifiers_can_be_hidden_and_left_out() -> None:
    pseudonymiser = Pseudonymiser(b"key", "k1", "IL")
    life = told(crowded_shop(1))
    hidden = [pseudonymiser.hide_all(t["identifiers"]) for t in life]
    assert {kind for identifiers in hidden for kind in identifiers} >= PERSONAL_KINDS
    assert not any(PERSONAL_KINDS & t["identifiers"].keys() for t in told(crowded_shop(1, personal=False)))


def test_two_runs_that_differ_in_seed_or_start_share_no_id() -> None:
    lives = [told(crowded_shop(1)), told(crowded_shop(2)), told(Shop(1, START + timedelta(days=1)))]
    for name in ("event_id", "order_id"):
        ids = [{t[name] for t in life if name in t} for life in lives]
        assert sum(map(len, ids)) == len(set().union(*ids))


def test_a_customer_is_in_one_store_at_a_time() -> None:
    waiting: Counter[str] = Counter()
    for touchpoint in crowded_shop(4, 20, customers=3, stories_per_day=300.0).touchpoints():
        customer = touchpoint["identifiers"]["customer_id"]
        if touchpoint["type"] == "visit_started":
            waiting[customer] = 0
        elif touchpoint["type"] == "queue_joined":
            waiting[customer] += 1
            assert waiting[customer] == 1


def test_customers_come_one_after_another_until_all_are_known() -> None:
    seen: set[str] = set()
    growth = []
    for touchpoint in told(Shop(1, START, customers=300), 10_000):
        seen.add(touchpoint["identifiers"]["customer_id"])
        growth.append(len(seen))
    assert growth[200] < 100 < growth[-1] <= 300


def open_stories_after(count: int) -> int:
    run = Run(Shop(1, START, customers=200, stories_per_day=200.0))
    next(islice((step for step in run.steps() if step.kind == "touchpoint"), count, None))
    return run.open_stories


def test_memory_follows_the_stories_under_way_not_the_time_told() -> None:
    assert open_stories_after(60_000) < 2 * open_stories_after(15_000)


def test_a_story_has_as_many_touchpoints_as_said() -> None:
    stories_per_day, days = 500.0, 60
    life = crowded_shop(1, days, customers=5_000, stories_per_day=stories_per_day, always_open=True).touchpoints()
    mean = sum(1 for _ in life) / stories_per_day / days
    assert mean == pytest.approx(MEAN_TOUCHPOINTS_PER_STORY, rel=0.1)


def test_stores_are_entered_while_they_are_open_in_israel() -> None:
    entered = [from_epoch_ms(occurred_ms(t)) for t in busy_shop(1).touchpoints() if t["type"] == "visit_started"]
    assert len(entered) > 500
    for moment in entered:
        local = moment.astimezone(ZoneInfo("Asia/Jerusalem"))
        opens, closes = STORE.days[local.weekday()]
        # Up to ten minutes pass between setting out and the door.
        assert opens <= local.hour + local.minute / 60 <= closes + 1 / 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"end": datetime(2026, 10, 1)}, "need a zone"),
        ({"customers": 0}, "at least 1 customer"),
        ({"anonymous_share": 1.5}, "between 0 and 1"),
        ({"stories_per_day": 0.0}, "more than 0"),
    ],
)
def test_a_shop_that_cannot_be_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        crowded_shop(1, **arguments)


def test_the_end_is_the_end() -> None:
    end = START + timedelta(days=2)
    life = list(crowded_shop(1, end=end).happenings())
    assert life
    assert all(occurred_ms(payload) < to_epoch_ms(end) for kind, payload in life if kind == "touchpoint")
