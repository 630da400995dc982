from collections import Counter
from datetime import timedelta
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.simulator import EXACT_RULES, RULES, Friction, Ledger
from schemas.moments import format_epoch_ms, to_epoch_ms
from tests.producers.simulator.drafts import MINUTE_MS, stretches, touchpoint
from tests.producers.simulator.lives import START, START_MS, busy_shop, crowded_shop, occurred_ms
from tests.producers.simulator.oracle import find_frictions
from tests.producers.simulator.oracle_touches import DAY_MS, HOUR_MS, Found


def short(frictions: list[Friction]) -> list[Found]:
    return sorted((each.true_at_ms, each.rule, each.customer_id, each.subject, each.anchor) for each in frictions)


def settle(told: list[dict[str, Any]], end_ms: int) -> list[Friction]:
    """What the ledger says of touchpoints and facts in order of occurrence."""
    ledger = Ledger()
    found: list[Friction] = []
    for each in told:
        observe = ledger.observe if "identifiers" in each else ledger.observe_fact
        found += observe(occurred_ms(each), each)
    return [*found, *ledger.pass_time(end_ms)]


def rules(told: list[dict[str, Any]], end_ms: int = START_MS + 60 * DAY_MS) -> list[str]:
    return [friction.rule for friction in settle(told, end_ms)]


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**32), days=st.integers(1, 12), customers=st.sampled_from([10, 30, 300]))
def test_the_truth_of_a_life_is_what_the_oracle_finds(seed: int, days: int, customers: int) -> None:
    end = START + timedelta(days=days)
    told = list(crowded_shop(seed, days, customers=customers).happenings())
    touchpoints = [payload for kind, payload in told if kind == "touchpoint"]
    facts = [payload for kind, payload in told if kind == "fact"]
    found = [payload for kind, payload in told if kind == "friction"]
    assert short(found) == find_frictions(touchpoints, facts, to_epoch_ms(end))


@pytest.mark.no_cover
@settings(max_examples=400, deadline=None)
@given(stretch=stretches())
def test_the_ledger_agrees_with_the_oracle_on_any_touchpoints(
    stretch: tuple[list[dict[str, Any]], list[dict[str, Any]], int],
) -> None:
    touchpoints, facts, end_ms = stretch
    told = sorted([*facts, *touchpoints], key=occurred_ms)
    assert short(settle(told, end_ms)) == find_frictions(touchpoints, facts, end_ms)


def test_a_life_cut_at_any_touchpoint_has_the_truth_of_that_part() -> None:
    told = list(crowded_shop(5, 20).happenings(count=3_000))
    touchpoints = [payload for kind, payload in told if kind == "touchpoint"]
    facts = [payload for kind, payload in told if kind == "fact"]
    found = [payload for kind, payload in told if kind == "friction"]
    assert len(touchpoints) == 3_000
    assert short(found) == find_frictions(touchpoints, facts, occurred_ms(touchpoints[-1]))


def test_what_the_last_touchpoint_of_a_cut_life_brings_is_true() -> None:
    types = [touchpoint["type"] for touchpoint in crowded_shop(5, 20).touchpoints()]
    count = types.index("gift_given") + 1
    *_, (kind, last) = crowded_shop(5, 20).happenings(count)
    assert (kind, last.rule) == ("friction", "unexpected_gift")


@cache
def life_with_truth() -> tuple[dict[str, dict[str, Any]], list[Friction]]:
    touchpoints: dict[str, dict[str, Any]] = {}
    frictions: list[Friction] = []
    for kind, payload in busy_shop(3).happenings():
        if kind == "friction":
            frictions.append(payload)
        elif kind == "touchpoint":
            touchpoints[f"{payload['source']}/{payload['event_id']}"] = payload
    return touchpoints, frictions


@pytest.mark.no_cover
def test_every_rule_occurs_in_a_month() -> None:
    found = Counter(friction.rule for friction in life_with_truth()[1])
    assert EXACT_RULES == RULES.keys() == found.keys()
    assert len(RULES) == 27


def test_every_record_names_its_anchor_first_and_touchpoints_that_were_told_before_it() -> None:
    touchpoints, frictions = life_with_truth()
    moments = {touchpoint["event_id"]: occurred_ms(touchpoint) for touchpoint in touchpoints.values()}
    for found in frictions:
        anchor = touchpoints[found.anchor]
        assert anchor["event_id"] == found.touchpoints[0]
        assert anchor["identifiers"]["customer_id"] == found.customer_id
        assert all(moments[event_id] <= found.true_at_ms for event_id in found.touchpoints)


def test_no_two_records_are_one_episode() -> None:
    _, frictions = life_with_truth()
    ids = Counter((found.customer_id, found.rule, found.anchor) for found in frictions)
    assert max(ids.values()) == 1


def test_a_friction_comes_before_the_first_touchpoint_that_is_later() -> None:
    now_ms = 0
    for kind, payload in crowded_shop(2).happenings():
        if kind == "touchpoint":
            now_ms = occurred_ms(payload)
        elif kind == "friction":
            assert payload.true_at_ms >= now_ms


def test_what_came_before_the_log_in_belongs_to_who_logged_in() -> None:
    told = list(crowded_shop(3, 10, anonymous_share=0.8).happenings())
    names = {
        touchpoint["identifiers"]["anonymous_id"]: touchpoint["identifiers"]["customer_id"]
        for kind, touchpoint in told
        if kind == "touchpoint" and {"anonymous_id", "customer_id"} <= touchpoint["identifiers"].keys()
    }
    known = []
    for kind, payload in told:
        if kind == "touchpoint":
            customer = payload["identifiers"].get("customer_id") or names.get(payload["identifiers"]["anonymous_id"])
            known += [{**payload, "identifiers": {"customer_id": customer}}] if customer else []
    found = [payload for kind, payload in told if kind == "friction"]
    facts = [payload for kind, payload in told if kind == "fact"]
    assert short(found) == find_frictions(known, facts, to_epoch_ms(START + timedelta(days=10)))
    early = {event_id for friction in found for event_id in friction.touchpoints}
    assert early & {t["event_id"] for kind, t in told if kind == "touchpoint" and "customer_id" not in t["identifiers"]}


@pytest.mark.parametrize(
    ("channel", "waited_ms", "expected"),
    [
        ("phone", 20_000, ["fast_service"]),
        ("phone", 20_001, []),
        ("phone", 180_000, []),
        ("phone", 180_001, ["long_wait"]),
        ("chat", 10_000, ["fast_service"]),
        ("chat", 60_000, []),
        ("chat", 60_001, ["long_wait"]),
        ("email", DAY_MS, []),
    ],
)
def test_a_wait_is_long_only_beyond_its_threshold(channel: str, waited_ms: int, expected: list[str]) -> None:
    started = touchpoint(1, START_MS, "contact_started", {"contact_id": "K-1"}, channel=channel)
    answered = touchpoint(2, START_MS + waited_ms, "contact_answered", {"contact_id": "K-1", "by": "human"})
    assert rules([started, answered]) == expected


def test_a_wait_that_grew_long_opens_one_millisecond_after_its_threshold() -> None:
    joined = touchpoint(1, START_MS, "queue_joined", {"queue": "till"}, store_id="S-1")
    (found,) = settle([joined], START_MS + 10 * MINUTE_MS + 1)
    assert (found.true_at_ms, found.subject) == (START_MS + 10 * MINUTE_MS + 1, "S-1/till")
    assert settle([joined], START_MS + 10 * MINUTE_MS) == []


def asked(number: int, days: float, **about: str) -> dict[str, Any]:
    order = {"order_id": about.pop("order")} if "order" in about else {}
    properties = {"contact_id": f"K-{number}", **about}
    return touchpoint(number, START_MS + int(days * DAY_MS), "contact_started", properties, **order)


def test_the_third_contact_belongs_to_the_repeat_that_the_second_opened() -> None:
    found = settle([asked(number, number, topic="refund") for number in range(3)], START_MS + 30 * DAY_MS)
    assert [friction.touchpoints for friction in found] == [("e-0", "e-1")]


def test_a_contact_on_an_order_and_a_topic_repeats_once() -> None:
    contacts = [asked(1, 0, order="O-1", topic="refund"), asked(2, 1, order="O-1", topic="refund")]
    assert [(found.rule, found.subject) for found in settle(contacts, START_MS + 2 * DAY_MS)] == [
        ("repeat_contact", "O-1")
    ]


def test_a_chain_goes_on_from_an_order_to_a_topic() -> None:
    contacts = [asked(1, 0, order="O-1"), asked(2, 6, order="O-1", topic="refund"), asked(3, 12, topic="refund")]
    found = settle(contacts, START_MS + 30 * DAY_MS)
    assert [(friction.rule, friction.anchor) for friction in found] == [("repeat_contact", "support/e-1")]


@pytest.mark.parametrize(("later_ms", "repeats"), [(7 * DAY_MS, 1), (7 * DAY_MS + 1, 0)])
def test_a_contact_is_a_repeat_for_seven_days(later_ms: int, repeats: int) -> None:
    contacts = [asked(1, 0, order="O-1"), asked(2, later_ms / DAY_MS, order="O-1")]
    assert rules(contacts).count("repeat_contact") == repeats


def ordered(number: int, promised_ms: int, **properties: Any) -> dict[str, Any]:
    promise = {"promised_by": format_epoch_ms(promised_ms), **properties}
    return touchpoint(number, START_MS, "order_placed", promise, order_id="O-1")


@pytest.mark.parametrize("settled_by", ["delivered", "picked_up"])
def test_a_promise_is_kept_by_handing_over(settled_by: str) -> None:
    handed_over = touchpoint(2, START_MS + 1000, settled_by, {}, order_id="O-1")
    assert rules([ordered(1, START_MS + 1000), handed_over]) == []
    assert rules([ordered(1, START_MS + 999), handed_over]) == ["broken_promise"]


def test_a_promise_that_was_moved_in_time_is_judged_by_its_new_time() -> None:
    moved_to = {"promised_by": format_epoch_ms(START_MS + 5000)}
    moved = touchpoint(2, START_MS + 1000, "delivery_delayed", moved_to, order_id="O-1")
    delivered = touchpoint(3, START_MS + 5000, "delivered", {}, order_id="O-1")
    late = touchpoint(3, START_MS + 5001, "delivered", {}, order_id="O-1")
    assert rules([ordered(1, START_MS + 1000), moved, delivered]) == ["kept_after_trouble"]
    (broken,) = settle([ordered(1, START_MS + 1000), moved, late], START_MS + 3 * HOUR_MS)
    assert (broken.rule, broken.true_at_ms, broken.touchpoints[0]) == ("broken_promise", START_MS + 5001, "e-1")


@pytest.mark.parametrize(
    ("told_ms", "expected"), [(4 * HOUR_MS, ["told_before_asked"]), (4 * HOUR_MS + 1, ["silent_delay"])]
)
def test_a_delay_is_told_in_time_for_four_hours(told_ms: int, expected: list[str]) -> None:
    moved_to = {"promised_by": format_epoch_ms(START_MS + DAY_MS)}
    delayed = touchpoint(1, START_MS, "delivery_delayed", moved_to, order_id="O-1")
    told = touchpoint(2, START_MS + told_ms, "notification_sent", {"topic": "delay"}, order_id="O-1")
    assert rules([delayed, told]) == expected
    looked = touchpoint(3, START_MS + told_ms - 1, "order_status_viewed", {}, order_id="O-1")
    assert "told_before_asked" not in rules([delayed, looked, told])


@pytest.mark.parametrize(("ended_ms", "expected"), [(DAY_MS, ["no_human"]), (DAY_MS + 1, [])])
def test_a_bot_is_to_blame_for_a_day(ended_ms: int, expected: list[str]) -> None:
    answered = touchpoint(1, START_MS, "contact_answered", {"contact_id": "K-1", "by": "bot"})
    ended = touchpoint(2, START_MS + ended_ms, "contact_ended", {"contact_id": "K-1", "resolved": False})
    assert rules([answered, ended]) == expected


def test_an_order_in_two_parcels_is_delivered_with_the_second_one() -> None:
    def parcel(number: int, days: float, name: str) -> dict[str, Any]:
        properties = {"parcel_id": name, "parcels": 2}
        return touchpoint(number, START_MS + int(days * DAY_MS), "delivered", properties, order_id="O-1")

    order = ordered(1, START_MS + 3 * DAY_MS)
    assert rules([order, parcel(2, 1, "P-1"), parcel(3, 1, "P-1")]) == ["broken_promise"]
    assert rules([order, parcel(2, 1, "P-1"), parcel(3, 2, "P-2")]) == ["early_delivery"]
    assert rules([order, parcel(2, 1, "P-1"), parcel(3, 2.5, "P-2")]) == []


def fact(number: int, hours: float, type_name: str, **properties: Any) -> dict[str, Any]:
    return touchpoint(number, START_MS + int(hours * HOUR_MS), type_name, {"sku": "SKU-1", **properties})


@pytest.mark.parametrize(
    ("wished_in", "facts", "is_silent"),
    [
        (None, [fact(2, 5, "restocked")], True),
        (None, [fact(2, 5, "restocked", store_id="S-1")], True),
        ("S-1", [fact(2, 5, "restocked")], True),
        ("S-1", [fact(2, 5, "restocked", store_id="S-2")], False),
        (None, [fact(2, -1, "restocked")], False),
        (None, [fact(2, 1, "stock_level", store_id="S-1", quantity=0)], False),
        (None, [fact(2, 5, "stock_level", store_id="S-1", quantity=4)], False),
        (None, [fact(n, n, "stock_level", store_id="S-1", quantity=q) for n, q in ((2, 0), (3, 4))], True),
        ("S-2", [fact(n, n, "stock_level", store_id="S-1", quantity=q) for n, q in ((2, 0), (3, 4))], False),
    ],
)
def test_a_wish_is_answered_by_a_restock_that_means_it(
    wished_in: str | None, facts: list[dict[str, Any]], is_silent: bool
) -> None:
    properties = {"sku": "SKU-1", **({"store_id": wished_in} if wished_in else {})}
    told = sorted([touchpoint(1, START_MS, "back_in_stock_requested", properties), *facts], key=occurred_ms)
    assert rules(told) == ["restock_silence"] * is_silent


def test_there_is_one_opportunity_a_day_whatever_the_frictions_were() -> None:
    failed = [touchpoint(n, START_MS + n * 1000, "delivery_failed", {"reason": "-"}, order_id="O-1") for n in (1, 2)]
    callback = {"contact_id": "K-1", "due_at": format_epoch_ms(START_MS + HOUR_MS)}
    promised = touchpoint(3, START_MS + 3000, "callback_promised", callback)

    def anchors(*hours: float) -> list[str]:
        visits = [
            touchpoint(n, START_MS + int(each * HOUR_MS), "page_viewed", {"url": "/"})
            for n, each in enumerate(hours, 4)
        ]
        found = settle([*failed, promised, *visits], START_MS + 9 * DAY_MS)
        return [friction.anchor for friction in found if friction.rule == "delight_opportunity"]

    # Half an hour for each, and a day from then on.
    assert anchors(0.5, 25) == ["delivery/e-1"]
    assert anchors(0.5, 25.1) == ["delivery/e-1", "support/e-3"]
    assert anchors(2) == ["delivery/e-1"]


def test_touchpoints_of_one_moment_are_taken_in_the_order_of_source_and_id() -> None:
    shown = touchpoint(2, START_MS, "stock_shown", {"sku": "SKU-1", "in_stock": True})
    missing = touchpoint(1, START_MS, "item_unavailable", {"sku": "SKU-1"}, store_id="S-1")
    # `store` comes before `web`: what is missing was not yet said to be there.
    assert rules([shown, missing]) == rules([missing, shown]) == []
