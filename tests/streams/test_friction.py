"""The three rules as they are shipped: they fire past their boundary, by time alone, resolve, and take back."""

from collections.abc import Sequence
from itertools import permutations
from typing import Any

import pytest

from streams.customer import Customer
from streams.friction.texts import render_reason
from streams.policy import Policy
from streams.rules.loading import load_rules
from streams.states import EpisodeState
from streams.stitching import StitchingRules
from streams.touch import Touch

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
T0 = 1_790_000_000_000
RULES = {rule.id: rule for rule in load_rules()}
POLICY = Policy(StitchingRules(14 * DAY, 90 * DAY, 7 * DAY), tuple(RULES.values()))


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


def customer_of(touches: Sequence[Touch], now_ms: int = 0) -> Customer:
    """One customer who lived through these, at the latest of them or later."""
    customer = Customer("customer_id:C-1", POLICY)
    now_ms = max([T0 + now_ms, *(touch.occurred_ms for touch in touches)])
    for one in touches:
        customer.add(one, now_ms)
    customer.review(now_ms)
    return customer


def found(touches: Sequence[Touch], now_ms: int = 0) -> list[EpisodeState]:
    return [state for state in customer_of(touches, now_ms).episodes.values() if state.status != "withdrawn"]


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
    assert found([began, ended]) == []
    ended = Touch(ended.occurred_ms + 1, ended.source, ended.event_id, ended.type, 0, details=ended.details)
    ended.store_id = began.store_id
    assert brief(found([began, ended])) == [("long_wait", "resolved", (limit_ms + 1) / 1000)]


@pytest.mark.parametrize(("began", "ended", "limit_ms"), LIMITS, ids=["queue", "phone", "abandoned", "chat"])
def test_a_wait_is_long_while_nobody_comes(began: Touch, ended: Touch, limit_ms: int) -> None:
    customer = customer_of([began], limit_ms)
    assert not customer.episodes
    assert customer.due_ms == T0 + limit_ms + 1
    [state] = customer.review(T0 + limit_ms + 1)
    assert (state.status, state.opened_ms, state.actual) == ("open", T0 + limit_ms + 1, limit_ms / 1000)


def test_while_somebody_waits_the_time_waited_doubles_in_known_moments() -> None:
    customer = customer_of([queued(0)], 10 * MINUTE + 1)
    moments: list[tuple[int, str, float]] = []
    while customer.due_ms < T0 + 13 * HOUR:
        at_ms = customer.due_ms
        moments += [(at_ms - T0, state.status, state.actual / 60) for state in customer.review(at_ms)]
    doubled = [(minutes * MINUTE, "open", minutes) for minutes in (20, 40, 80, 160, 320, 640)]
    assert moments == [*doubled, (12 * HOUR + 1, "resolved", 720)]


def test_channels_without_a_limit_never_wait_too_long() -> None:
    assert found([called(0, "email")], DAY) == []


def test_another_queue_or_store_does_not_end_a_wait() -> None:
    other = touch("service_started", MINUTE, store_id="S-2", details={"queue": "tills"})
    assert brief(found([queued(0), other], 11 * MINUTE)) == [("long_wait", "open", 600)]


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
    assert [state.rule for state in found([first, second])] == rules


def test_repeated_contacts_are_one_episode_until_a_quiet_week_has_passed() -> None:
    calls = [called(day * DAY, "email", f"K-{day}", order_id="O-7") for day in (0, 6, 12)]
    assert brief(found(calls, 19 * DAY)) == [("repeat_contact", "open", 3)]
    customer = customer_of(calls, 19 * DAY)
    assert customer.due_ms == T0 + 19 * DAY + 1
    [state] = [state for state in customer.review(T0 + 19 * DAY + 1) if state.rule == "repeat_contact"]
    assert (state.status, state.resolved_ms, state.opened_ms) == ("resolved", T0 + 19 * DAY, T0 + 6 * DAY)


def test_a_promise_is_broken_one_millisecond_past_its_time_by_time_alone() -> None:
    customer = customer_of([ordered(0, DAY)], DAY)
    assert not customer.episodes and customer.due_ms == T0 + DAY + 1
    [state] = customer.review(T0 + DAY + 1)
    assert (state.rule, state.status, state.opened_ms, state.actual) == ("broken_promise", "open", T0 + DAY + 1, 0)
    assert customer.due_ms == T0 + DAY + HOUR
    assert [state.actual for state in customer.review(T0 + DAY + HOUR)] == [3600]
    assert [state.actual for state in customer.review(T0 + DAY + 5 * HOUR)] == [4 * 3600]


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
    assert brief(found(touches, 3 * DAY)) == expected


LIVES = {
    "wait": [queued(0), queued(11 * MINUTE, "service_started"), queued(30 * MINUTE)],
    "repeat": [called(day * DAY, "email", f"K-{day}", order_id="O-7") for day in (0, 3, 8)],
    "deadline": [ordered(0, DAY), delayed(HOUR, 2 * HOUR), delivered(3 * HOUR)],
}


@pytest.mark.parametrize("touches", LIVES.values(), ids=LIVES.keys())
def test_any_order_and_duplicates_change_nothing(touches: list[Touch]) -> None:
    expected = found(touches, 20 * DAY)
    assert expected
    for arrived in permutations(touches):
        assert found([*arrived, arrived[0]], 20 * DAY) == expected


@pytest.mark.parametrize(
    ("touches", "now_ms", "late"),
    [
        ([queued(0)], 20 * MINUTE, queued(5 * MINUTE, "service_started")),
        ([ordered(0, DAY)], 2 * DAY, delivered(HOUR)),
        ([ordered(0, DAY)], 2 * DAY, delayed(HOUR, 3 * DAY)),
    ],
    ids=["wait", "deadline", "deadline moved"],
)
def test_late_data_withdraws_what_it_disproves_and_tells_so(touches: list[Touch], now_ms: int, late: Touch) -> None:
    customer = customer_of(touches, now_ms)
    [before] = customer.episodes.values()
    assert before.status == "open"
    customer.add(late, T0 + now_ms)
    [after] = customer.review(T0 + now_ms)
    assert (after.episode_id, after.status) == (before.episode_id, "withdrawn")
    assert customer.review(T0 + now_ms) == []


def test_a_repeat_whose_anchor_moves_is_withdrawn_for_the_new_one() -> None:
    customer = customer_of([called(day * DAY, "email", f"K-{day}", order_id="O-7") for day in (1, 2)])
    customer.add(called(0, "email", "K-0", order_id="O-7"), T0 + 2 * DAY)
    assert sorted(state.status for state in customer.review(T0 + 2 * DAY)) == ["open", "withdrawn"]


def reasons(touches: Sequence[Touch], now_ms: int) -> tuple[str, str]:
    [state] = found(touches, now_ms)
    rule = RULES[state.rule]
    return render_reason(rule, state, "en"), render_reason(rule, state, "he")


@pytest.mark.parametrize(
    ("touches", "now_ms", "english", "hebrew"),
    [
        ([queued(0)], 25 * MINUTE, "still waiting: waited 20 min for an answer (S-1/tills); at most 10 min is promised",
         "עדיין: ממתין 20 דקות למענה (S-1/tills); לכל היותר 10 דקות מובטח"),
        ([queued(0), queued(750 * SECOND, "service_started")], 0,
         "waited 12.5 min for an answer (S-1/tills); at most 10 min is promised",
         "ממתין 12.5 דקות למענה (S-1/tills); לכל היותר 10 דקות מובטח"),
        (LIVES["repeat"], 0, "contacted support 3 times about O-7 within 7 d of each other",
         "פנה לתמיכה 3 פעמים בנושא O-7 בתוך 7 ימים מפנייה לפנייה"),
        ([ordered(0, DAY)], 2 * DAY,
         "order O-7 was promised by 2026-09-22T14:13:20.000Z; it is 16 h late, and still owed",
         "הזמנה O-7 הובטחה עד 2026-09-22T14:13:20.000Z; איחור של 16 שעות, וטרם קוים"),
        ([ordered(0, DAY), delivered(2 * DAY)], 0, "order O-7 was promised by 2026-09-22T14:13:20.000Z; it is 1 d late",
         "הזמנה O-7 הובטחה עד 2026-09-22T14:13:20.000Z; איחור של 1 ימים"),
    ],
    ids=["waits", "waited", "repeat", "owed", "late"],
)  # fmt: skip
def test_reasons_say_what_happened_in_both_languages(
    touches: list[Touch], now_ms: int, english: str, hebrew: str
) -> None:
    assert reasons(touches, now_ms) == (english, hebrew)
