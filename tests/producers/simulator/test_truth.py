from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.simulator import EXACT_RULES, Friction, Ledger
from schemas.moments import check_moment, format_epoch_ms, to_epoch_ms
from tests.producers.simulator.lives import START, START_MS, busy_shop, crowded_shop, occurred_ms
from tests.producers.simulator.oracle import DAY_MS, MINUTE_MS, Found, find_frictions


def short(frictions: list[Friction]) -> list[Found]:
    exact = (friction for friction in frictions if friction.rule in EXACT_RULES)
    return sorted((friction.true_at_ms, friction.rule, friction.customer_id, friction.subject) for friction in exact)


def touchpoint(number: int, at_ms: int, type_name: str, properties: dict[str, Any], **fields: str) -> dict[str, Any]:
    return {
        "event_id": f"e-{number}",
        "source": "support",
        "type": type_name,
        "occurred_at": format_epoch_ms(at_ms),
        "identifiers": {"customer_id": fields.pop("customer", "C-1")},
        "properties": properties,
        **fields,
    }


def settle(touchpoints: list[dict[str, Any]], end_ms: int) -> list[Friction]:
    ledger = Ledger()
    found = [friction for each in touchpoints for friction in ledger.observe(occurred_ms(each), each)]
    return [*found, *ledger.pass_time(end_ms)]


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32), days=st.integers(1, 12))
def test_the_truth_of_a_life_is_what_the_oracle_finds(seed: int, days: int) -> None:
    shop = crowded_shop(seed, days)
    end_ms = to_epoch_ms(START + timedelta(days=days))
    assert short(list(shop.truth())) == find_frictions(list(shop.touchpoints()), end_ms)


MOMENTS = st.sampled_from([0, 1, MINUTE_MS, 3 * MINUTE_MS, 10 * MINUTE_MS, DAY_MS, 7 * DAY_MS, 7 * DAY_MS + 1])
CUSTOMERS = st.sampled_from(["C-1", "C-2"])
Draft = Callable[[int, int], dict[str, Any]]


@st.composite
def drafts(draw: st.DrawFn) -> Draft:
    customer = draw(CUSTOMERS)
    kind = draw(st.sampled_from(["queue", "contact", "end", "order", "moved", "delivered"]))
    which = draw(st.sampled_from(["1", "2"]))
    ahead_ms = draw(MOMENTS)
    channel = draw(st.sampled_from(["phone", "chat", "email"]))

    def make(number: int, at_ms: int) -> dict[str, Any]:
        promised = {"promised_by": format_epoch_ms(at_ms + ahead_ms)}
        if kind == "queue":
            name = "queue_joined" if which == "1" else "service_started"
            return touchpoint(number, at_ms, name, {"queue": "till"}, store_id="S-1", customer=customer)
        if kind == "contact":
            started = {"contact_id": f"K-{number}", "topic": f"T-{which}"}
            order = {"order_id": f"O-{which}"} if ahead_ms else {}
            return touchpoint(number, at_ms, "contact_started", started, channel=channel, customer=customer, **order)
        if kind == "end":
            ended = {"contact_id": f"K-{number - int(which)}", "by": "human"}
            return touchpoint(number, at_ms, "contact_answered", ended, customer=customer)
        name = {"order": "order_placed", "moved": "delivery_delayed", "delivered": "delivered"}[kind]
        properties = promised if kind != "delivered" else {}
        return touchpoint(number, at_ms, name, properties, order_id=f"O-{which}", customer=customer)

    return make


def build(steps: list[tuple[int, Draft]]) -> list[dict[str, Any]]:
    """Lay out the drafts in time; only one promise opens each order, and only after it can it be moved."""
    at_ms = START_MS
    built: list[dict[str, Any]] = []
    ordered: set[tuple[str, str | None]] = set()
    for number, (gap_ms, draft) in enumerate(steps):
        at_ms += gap_ms
        made = draft(number, at_ms)
        order = (made["identifiers"]["customer_id"], made.get("order_id"))
        if made["type"] == "order_placed" and order in ordered:
            continue
        if made["type"] in ("delivery_delayed", "delivered") and order not in ordered:
            continue
        if made["type"] == "contact_answered":
            asked = [t for t in built if t["properties"].get("contact_id") == made["properties"]["contact_id"]]
            if not asked or asked[0]["identifiers"] != made["identifiers"]:
                continue
        if made["type"] == "order_placed":
            ordered.add(order)
        built.append(made)
    return built


@settings(max_examples=300, deadline=None)
@given(steps=st.lists(st.tuples(MOMENTS, drafts()), max_size=25), after_ms=MOMENTS)
def test_the_ledger_agrees_with_the_oracle_on_any_touchpoints(steps: list[tuple[int, Draft]], after_ms: int) -> None:
    touchpoints = [each for each in build(steps) if not _moves_a_settled_promise(each, build(steps))]
    end_ms = max((occurred_ms(each) for each in touchpoints), default=START_MS) + after_ms
    assert short(settle(touchpoints, end_ms)) == find_frictions(touchpoints, end_ms)


def _moves_a_settled_promise(moved: dict[str, Any], touchpoints: list[dict[str, Any]]) -> bool:
    if moved["type"] != "delivery_delayed":
        return False
    before = touchpoints[: [each["event_id"] for each in touchpoints].index(moved["event_id"])]
    same = [t for t in before if t.get("order_id") == moved["order_id"] and t["identifiers"] == moved["identifiers"]]
    return any(each["type"] == "delivered" for each in same)


@pytest.mark.parametrize(
    ("channel", "waited_ms", "is_long"),
    [
        ("phone", 180_000, False),
        ("phone", 180_001, True),
        ("chat", 60_000, False),
        ("chat", 60_001, True),
        ("email", DAY_MS, False),
    ],
)
def test_a_wait_is_long_only_beyond_its_threshold(channel: str, waited_ms: int, is_long: bool) -> None:
    started = touchpoint(1, START_MS, "contact_started", {"contact_id": "K-1"}, channel=channel)
    answered = touchpoint(2, START_MS + waited_ms, "contact_answered", {"contact_id": "K-1", "by": "human"})
    assert bool(settle([started, answered], START_MS + DAY_MS)) is is_long


def test_the_third_contact_belongs_to_the_repeat_that_the_second_opened() -> None:
    asked = [
        touchpoint(
            number, START_MS + number * DAY_MS, "contact_started", {"contact_id": f"K-{number}", "topic": "refund"}
        )
        for number in range(3)
    ]
    found = settle(asked, START_MS + 30 * DAY_MS)
    assert [friction.touchpoints for friction in found] == [("e-0", "e-1")]


@pytest.mark.parametrize(("later_ms", "repeats"), [(7 * DAY_MS, 1), (7 * DAY_MS + 1, 0)])
def test_a_contact_is_a_repeat_for_seven_days(later_ms: int, repeats: int) -> None:
    first = touchpoint(1, START_MS, "contact_started", {"contact_id": "K-1"}, order_id="O-1")
    second = touchpoint(2, START_MS + later_ms, "contact_started", {"contact_id": "K-2"}, order_id="O-1")
    assert len(settle([first, second], START_MS + 30 * DAY_MS)) == repeats


@pytest.mark.parametrize("settled_by", ["delivered", "picked_up"])
def test_a_promise_is_kept_by_handing_over(settled_by: str) -> None:
    promised_by = {"promised_by": format_epoch_ms(START_MS + 1000)}
    ordered = touchpoint(1, START_MS, "delivery_promised", promised_by, order_id="O-1")
    handed_over = touchpoint(2, START_MS + 1000, settled_by, {}, order_id="O-1")
    assert settle([ordered, handed_over], START_MS + DAY_MS) == []
    assert len(settle([ordered], START_MS + DAY_MS)) == 1


def test_a_promise_that_was_moved_in_time_is_judged_by_its_new_time() -> None:
    promised, moved_to = format_epoch_ms(START_MS + 1000), format_epoch_ms(START_MS + 5000)
    ordered = touchpoint(1, START_MS, "order_placed", {"promised_by": promised}, order_id="O-1")
    moved = touchpoint(2, START_MS + 1000, "delivery_delayed", {"promised_by": moved_to}, order_id="O-1")
    delivered = touchpoint(3, START_MS + 5000, "delivered", {}, order_id="O-1")
    assert settle([ordered, moved, delivered], START_MS + DAY_MS) == []
    late = {**delivered, "occurred_at": format_epoch_ms(START_MS + 5001)}
    assert [friction.true_at_ms for friction in settle([ordered, moved, late], START_MS + DAY_MS)] == [START_MS + 5000]


def test_a_month_plants_every_kind_of_friction_and_delight() -> None:
    planted = Counter(friction.rule for friction in busy_shop(3).truth())
    missing = {
        *EXACT_RULES,
        *("wismo", "silent_delay", "failed_deliveries", "stock_mismatch", "restock_silence", "hold_lost"),
        *("unresolved_complaint", "ping_pong", "no_human", "checkout_trouble", "channel_hopping", "unheard_feedback"),
        *("missed_callback", "late_refund", "early_delivery", "first_contact_resolution", "told_before_asked"),
        *("unexpected_gift", "promoter", "public_praise"),
    } - planted.keys()
    assert missing == set()


def life_with_truth(seed: int) -> tuple[dict[str, dict[str, Any]], list[Friction]]:
    touchpoints: dict[str, dict[str, Any]] = {}
    frictions: list[Friction] = []
    for kind, payload in busy_shop(seed).happenings():
        if kind == "friction":
            frictions.append(payload)
        else:
            touchpoints[payload["event_id"]] = payload
    return touchpoints, frictions


def test_every_friction_names_touchpoints_that_were_told_before_it() -> None:
    touchpoints, frictions = life_with_truth(5)
    assert all(occurred_ms(touchpoints[i]) <= found.true_at_ms for found in frictions for i in found.touchpoints)
    assert all(found.touchpoints for found in frictions)


@pytest.mark.parametrize(
    ("rule", "prevented_by", "within_ms"),
    [
        ("silent_delay", "notification_sent", 4 * 60 * MINUTE_MS),
        ("late_refund", "refund_issued", None),
        ("missed_callback", "callback_made", None),
        ("unresolved_complaint", "complaint_resolved", 2 * DAY_MS),
        ("checkout_trouble", "order_placed", 30 * MINUTE_MS),
    ],
)
def test_what_would_have_prevented_a_planted_friction_did_not_come(
    rule: str, prevented_by: str, within_ms: int | None
) -> None:
    touchpoints, frictions = life_with_truth(8)
    planted = [found for found in frictions if found.rule == rule]
    assert planted
    for found in planted:
        shown = touchpoints[found.touchpoints[-1]]
        same = [t for t in touchpoints.values() if t["type"] == prevented_by and _concerns(t, shown)]
        assert not [t for t in same if occurred_ms(shown) <= occurred_ms(t) <= found.true_at_ms]
        waited_ms = found.true_at_ms - occurred_ms(shown)
        due_at = shown["properties"].get("due_at")
        assert waited_ms <= within_ms if within_ms else found.true_at_ms == to_epoch_ms(check_moment(due_at))


def _concerns(other: dict[str, Any], shown: dict[str, Any]) -> bool:
    if other["type"] in ("callback_made",):
        return bool(other["properties"]["contact_id"] == shown["properties"]["contact_id"])
    if other["type"] == "complaint_resolved":
        return bool(other["case_id"] == shown["case_id"])
    return shown.get("order_id") is not None and other.get("order_id") == shown.get("order_id")
