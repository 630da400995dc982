"""Shipped rules as they are shipped: they fire past their boundary, by time alone, resolve, and take back.

What each of them finds and leaves alone stands in `streams/rules/scenarios`; here it is when, and how it changes.
"""

from collections.abc import Sequence
from itertools import permutations
from typing import Any

import pytest

from streams.customer import Customer
from streams.friction.plan import Plan
from streams.friction.texts import render_reason
from streams.policy import Policy
from streams.rules.loading import load_rules
from streams.states import EpisodeState
from streams.stitching import StitchingRules
from streams.touch import Touch

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
T0 = 1_790_000_000_000
RULES = {rule.id: rule for rule in load_rules()}
STITCHING = StitchingRules(14 * DAY, 90 * DAY, 7 * DAY)


def touch(kind: str, after_ms: int, event_id: str = "", **fields: Any) -> Touch:
    return Touch(T0 + after_ms, fields.pop("source", "support"), event_id or f"{kind}@{after_ms}", kind, 0, **fields)


def queued(after_ms: int, kind: str = "queue_joined") -> Touch:
    return touch(kind, after_ms, store_id="S-1", details={"queue": "tills"})


def called(after_ms: int, channel: str = "phone", contact: str = "K", **fields: Any) -> Touch:
    details = {"contact_id": contact, **({"topic": fields.pop("topic")} if "topic" in fields else {})}
    return touch("contact_started", after_ms, channel=channel, details=details, **fields)


def ordered(after_ms: int, due_ms: int) -> Touch:
    return touch("order_placed", after_ms, order_id="O-7", details={"promised_by": T0 + due_ms})


def delayed(after_ms: int, due_ms: int) -> Touch:
    return touch("delivery_delayed", after_ms, order_id="O-7", details={"promised_by": T0 + due_ms})


def delivered(after_ms: int) -> Touch:
    return touch("delivered", after_ms, order_id="O-7", details={})


def customer_of(touches: Sequence[Touch], now_ms: int, *rules: str) -> Customer:
    """One customer who lived through these under some rules, at the latest of them or later."""
    plan = Plan(RULES[name] for name in rules)
    customer = Customer("customer_id:C-1", Policy(STITCHING, plan))
    now_ms = max([T0 + now_ms, *(touch.occurred_ms for touch in touches)])
    for one in touches:
        customer.add(one, now_ms)
    customer.review(now_ms)
    return customer


def found(touches: Sequence[Touch], now_ms: int, *rules: str) -> list[EpisodeState]:
    states = customer_of(touches, now_ms, *rules).episodes.states.values()
    return [state for state in states if state.status != "withdrawn"]


def brief(states: Sequence[EpisodeState]) -> list[tuple[str, str, float]]:
    return [(state.rule, state.status, state.actual) for state in states]


LIMITS = [
    (queued(0), queued(10 * MINUTE, "service_started"), 10 * MINUTE),
    (called(0), touch("contact_answered", 3 * MINUTE, details={"contact_id": "K", "by": "human"}), 3 * MINUTE),
    (called(0), touch("contact_abandoned", 3 * MINUTE, details={"contact_id": "K"}), 3 * MINUTE),
    (called(0, "chat"), touch("contact_ended", MINUTE, details={"contact_id": "K", "resolved": True}), MINUTE),
]


@pytest.mark.parametrize(("began", "ended", "limit_ms"), LIMITS, ids=["queue", "phone", "abandoned", "chat"])
def test_a_wait_is_long_one_millisecond_past_the_limit(began: Touch, ended: Touch, limit_ms: int) -> None:
    assert found([began, ended], 0, "long_wait") == []
    ended = Touch(ended.occurred_ms + 1, ended.source, ended.event_id, ended.type, 0, details=ended.details)
    ended.store_id = began.store_id
    assert brief(found([began, ended], 0, "long_wait")) == [("long_wait", "resolved", (limit_ms + 1) / 1000)]


@pytest.mark.parametrize(("began", "ended", "limit_ms"), LIMITS, ids=["queue", "phone", "abandoned", "chat"])
def test_a_wait_is_long_while_nobody_comes(began: Touch, ended: Touch, limit_ms: int) -> None:
    customer = customer_of([began], limit_ms, "long_wait")
    assert not customer.episodes.states
    assert customer.due_ms == T0 + limit_ms + 1
    [state] = customer.review(T0 + limit_ms + 1)
    assert (state.status, state.opened_ms, state.actual) == ("open", T0 + limit_ms + 1, limit_ms / 1000)


def moments_of(customer: Customer, until_ms: int) -> list[tuple[int, str, str, float]]:
    """When something changes by time alone, and what it says then."""
    moments: list[tuple[int, str, str, float]] = []
    while customer.due_ms < T0 + until_ms:
        at_ms = customer.due_ms
        changes = customer.review(at_ms)
        moments += [(at_ms - T0, state.change, state.severity, state.actual) for state in changes]
    return moments


def test_while_somebody_waits_the_time_waited_doubles_in_known_moments() -> None:
    customer = customer_of([queued(0)], 10 * MINUTE, "long_wait")
    assert moments_of(customer, 13 * HOUR) == [
        (10 * MINUTE + 1, "opened", "warning", 600),
        (20 * MINUTE, "updated", "warning", 1_200),
        (30 * MINUTE + 1, "escalated", "critical", 1_200),
        *((minutes * MINUTE, "updated", "critical", minutes * 60) for minutes in (40, 80, 160, 320, 640)),
        (12 * HOUR + 1, "resolved", "critical", 43_200),
    ]


def test_channels_without_a_limit_never_wait_too_long() -> None:
    assert found([called(0, "email")], DAY, "long_wait") == []


def test_another_queue_or_store_does_not_end_a_wait() -> None:
    other = touch("service_started", MINUTE, store_id="S-2", details={"queue": "tills"})
    assert brief(found([queued(0), other], 11 * MINUTE, "long_wait")) == [("long_wait", "open", 600)]


@pytest.mark.parametrize(
    ("second", "rules"),
    [
        (called(7 * DAY, "email", "K-2", order_id="O-7"), ["repeat_contact"]),
        (called(7 * DAY + 1, "email", "K-2", order_id="O-7"), []),
        (called(DAY, "email", "K-2", topic="late parcel"), ["repeat_contact"]),
        (called(DAY, "email", "K-2", topic="bill", order_id="O-8"), []),
        (called(DAY, "email", "K-2"), []),
    ],
    ids=["same order, at the edge", "past it", "same topic", "something else", "about nothing said"],
)
def test_a_second_contact_about_the_same_within_a_week_is_friction(second: Touch, rules: list[str]) -> None:
    first = called(0, "email", "K-1", order_id="O-7", topic="late parcel")
    assert [state.rule for state in found([first, second], 0, *RULES) if state.kind == "friction"] == rules


def test_repeated_contacts_are_one_episode_until_a_quiet_week_has_passed() -> None:
    calls = [called(day * DAY, "email", f"K-{day}", order_id="O-7") for day in (0, 6, 12)]
    assert brief(found(calls, 19 * DAY, "repeat_contact")) == [("repeat_contact", "open", 3)]
    customer = customer_of(calls, 19 * DAY, "repeat_contact")
    assert customer.due_ms == T0 + 19 * DAY + 1
    [state] = customer.review(T0 + 19 * DAY + 1)
    assert (state.status, state.resolved_ms, state.opened_ms) == ("resolved", T0 + 19 * DAY, T0 + 6 * DAY)


def test_a_promise_is_broken_one_millisecond_past_its_time_by_time_alone() -> None:
    customer = customer_of([ordered(0, DAY)], DAY, "broken_promise")
    assert not customer.episodes.states and customer.due_ms == T0 + DAY + 1
    [state] = customer.review(T0 + DAY + 1)
    assert (state.rule, state.status, state.opened_ms, state.actual) == ("broken_promise", "open", T0 + DAY + 1, 0)
    assert customer.due_ms == T0 + DAY + HOUR
    assert [state.actual for state in customer.review(T0 + DAY + HOUR)] == [3600]
    assert [state.actual for state in customer.review(T0 + DAY + 5 * HOUR)] == [4 * 3600]


def test_a_silence_about_a_delay_grows_in_known_moments_until_it_is_old() -> None:
    customer = customer_of([delayed(0, 30 * DAY)], 4 * HOUR, "silent_delay")
    assert moments_of(customer, 8 * DAY) == [
        (4 * HOUR + 1, "opened", "warning", 4 * 3600),
        *((hours * HOUR, "updated", "warning", hours * 3600) for hours in (8, 16, 32, 64, 128)),
        (7 * DAY + 4 * HOUR + 2, "resolved", "warning", 7 * 86_400 + 4 * 3600 + 0.001),
    ]


def test_a_complaint_grows_graver_three_days_after_its_time() -> None:
    complaint = touch("complaint_opened", 0, case_id="C-1", details={"topic": "manners"})
    changes = moments_of(customer_of([complaint], 2 * DAY, "unresolved_complaint"), 6 * DAY)
    assert [change for change in changes if change[1] != "updated"] == [
        (2 * DAY + 1, "opened", "warning", 0),
        (5 * DAY + 1, "escalated", "critical", 64 * 3600),
    ]


def test_a_contact_was_the_first_and_only_one_when_a_week_has_passed() -> None:
    ended = touch("contact_ended", HOUR, details={"contact_id": "K", "resolved": True})
    customer = customer_of([called(0, order_id="O-7"), ended], HOUR, "first_contact_resolution")
    assert [moment[:2] for moment in moments_of(customer, 8 * DAY)] == [(7 * DAY + 1, "resolved")]
    again = customer_of([called(0, order_id="O-7"), ended, called(7 * DAY, "email", "K-2", order_id="O-7")], 0,
                        "first_contact_resolution")  # fmt: skip
    assert not [moment for moment in moments_of(again, 8 * DAY) if moment[1] == "resolved"]


@pytest.mark.parametrize(
    ("touches", "expected"),
    [
        ([ordered(0, DAY), delivered(DAY)], []),
        ([ordered(0, DAY), delivered(DAY + 1)], [("broken_promise", "resolved", 0.001)]),
        ([ordered(0, DAY), delayed(DAY, 2 * DAY), delivered(2 * DAY)], []),
        ([ordered(0, DAY), delayed(DAY + 1, 2 * DAY), delivered(2 * DAY)], [("broken_promise", "resolved", 86_400)]),
        ([ordered(0, DAY), touch("returned", 2 * HOUR, order_id="O-7", details={})], []),
        ([ordered(3 * HOUR, HOUR), delivered(4 * HOUR)], [("broken_promise", "resolved", 3 * 3600)]),
    ],
    ids=["kept", "late", "moved in time", "moved too late", "withdrawn", "promised for the past"],
)
def test_a_broken_promise_is_judged_by_what_was_promised_then(touches: list[Touch], expected: list[Any]) -> None:
    assert brief(found(touches, 3 * DAY, "broken_promise")) == expected


def shown(after_ms: int, in_stock: bool = True) -> Touch:
    return touch("stock_shown", after_ms, details={"sku": "P", "in_stock": in_stock})


LIVES = {
    "wait": [queued(0), queued(11 * MINUTE, "service_started"), queued(30 * MINUTE)],
    "repeat": [called(day * DAY, "email", f"K-{day}", order_id="O-7") for day in (0, 3, 8)],
    "deadline": [ordered(0, DAY), delayed(HOUR, 2 * HOUR), delivered(3 * HOUR)],
    "sequence": [delayed(0, DAY), touch("notification_sent", HOUR, order_id="O-7", details={"topic": "delay"}),
                 delayed(2 * HOUR, DAY)],
    "mismatch": [shown(0), shown(HOUR, False), shown(2 * HOUR), touch("item_unavailable", DAY, details={"sku": "P"})],
    "threshold": [touch("gift_given", 0, details={"kind": "sweets"}), called(MINUTE), called(DAY, "email", "K-2")],
    "sequel": [touch("cart_updated", 0, details={"sku": "P"}), queued(MINUTE), queued(HOUR, "service_started"),
               touch("visit_started", DAY)],
}  # fmt: skip


@pytest.mark.parametrize("touches", LIVES.values(), ids=LIVES.keys())
def test_any_order_and_duplicates_change_nothing(touches: list[Touch]) -> None:
    expected = {state.episode_id: state for state in found(touches, 20 * DAY, *RULES)}
    assert expected
    for arrived in permutations(touches):
        again = {state.episode_id: state for state in found([*arrived, arrived[0]], 20 * DAY, *RULES)}
        assert again == expected


def test_what_begins_with_friction_names_it() -> None:
    states = {state.rule: state for state in found(LIVES["sequel"], 3 * DAY, *RULES)}
    wait, left, chance = (states[name] for name in ("long_wait", "friction_then_abandonment", "delight_opportunity"))
    assert (left.opened_ms, left.subject) == (wait.opened_ms + 2 * DAY + 1, "S-1/tills")
    assert (chance.opened_ms, chance.resolved_ms) == (T0 + DAY, T0 + DAY + 30 * MINUTE)
    assert chance.evidence == (*wait.evidence, LIVES["sequel"][-1].reference)


@pytest.mark.parametrize(
    ("touches", "now_ms", "late"),
    [
        ([queued(0)], 20 * MINUTE, queued(5 * MINUTE, "service_started")),
        ([ordered(0, DAY)], 2 * DAY, delivered(HOUR)),
        ([ordered(0, DAY)], 2 * DAY, delayed(HOUR, 3 * DAY)),
        ([shown(0), touch("item_unavailable", DAY, details={"sku": "P"})], 2 * DAY, shown(HOUR, False)),
        ([delayed(0, 9 * DAY)], 5 * HOUR, delivered(4 * HOUR)),
    ],
    ids=["wait", "deadline", "deadline moved", "mismatch", "sequence"],
)
def test_late_data_withdraws_what_it_disproves_and_tells_so(touches: list[Touch], now_ms: int, late: Touch) -> None:
    names = ("long_wait", "broken_promise", "stock_mismatch", "silent_delay")
    customer = customer_of(touches, now_ms, *names)
    [before] = customer.episodes.states.values()
    assert before.status == "open"
    customer.add(late, T0 + now_ms)
    [after] = [state for state in customer.review(T0 + now_ms) if state.episode_id == before.episode_id]
    assert (after.status, after.withdrawn_because) == ("withdrawn", "late_data")
    assert customer.review(T0 + now_ms) == []


def test_a_repeat_whose_anchor_moves_is_withdrawn_for_the_new_one() -> None:
    calls = [called(day * DAY, "email", f"K-{day}", order_id="O-7") for day in (1, 2)]
    customer = customer_of(calls, 0, "repeat_contact")
    customer.add(called(0, "email", "K-0", order_id="O-7"), T0 + 2 * DAY)
    assert sorted(state.status for state in customer.review(T0 + 2 * DAY)) == ["open", "withdrawn"]


def reasons(touches: Sequence[Touch], now_ms: int) -> tuple[str, str]:
    [state] = found(touches, now_ms, "long_wait", "repeat_contact", "broken_promise")
    rule = RULES[state.rule]
    return render_reason(rule, state, "en"), render_reason(rule, state, "he")


@pytest.mark.parametrize(
    ("touches", "now_ms", "english", "hebrew"),
    [
        ([queued(0)], 25 * MINUTE,
         "still waiting: waited at least 20 min for an answer (S-1/tills); more than 10 min is too long",
         "עדיין: המתנה של לפחות 20 דקות למענה (S-1/tills); המתנה סבירה היא עד 10 דקות"),
        ([queued(0), queued(750 * SECOND, "service_started")], 0,
         "waited 12.5 min for an answer (S-1/tills); more than 10 min is too long",
         "המתנה של 12.5 דקות למענה (S-1/tills); המתנה סבירה היא עד 10 דקות"),
        (LIVES["repeat"], 0, "contacted support 3 times about O-7, each time within 7 d of the last",
         "3 פניות לתמיכה בעניין O-7, כל אחת בתוך 7 ימים מקודמתה"),
        ([ordered(0, DAY)], 2 * DAY,
         "order O-7 was promised by 2026-09-22T14:13:20.000Z; it is at least 16 h late, and still owed",
         "הזמנה O-7 הובטחה עד 2026-09-22T14:13:20.000Z; איחור של לפחות 16 שעות, וטרם קוים"),
        ([ordered(0, DAY), delivered(2 * DAY)], 0, "order O-7 was promised by 2026-09-22T14:13:20.000Z; it is 1 d late",
         "הזמנה O-7 הובטחה עד 2026-09-22T14:13:20.000Z; איחור של יום אחד"),
    ],
    ids=["waits", "waited", "repeat", "owed", "late"],
)  # fmt: skip
def test_reasons_say_what_happened_in_both_languages(
    touches: list[Touch], now_ms: int, english: str, hebrew: str
) -> None:
    assert reasons(touches, now_ms) == (english, hebrew)
