"""A silent source holds back what rests on its saying nothing, and one alert speaks for all of it."""

from __future__ import annotations

import pytest

from streams.customer import Customer
from streams.episodes import Context
from streams.friction.plan import Plan
from streams.policy import Policy
from streams.rules.loading import load_rule_set
from streams.silence import SOURCE_SILENT, SilentSource, episode_id_of, judge_sources
from streams.stitching import StitchingRules
from tests.streams.oracle import HOUR_MS
from tests.streams.scenes import at, touch

DAY_MS = 24 * HOUR_MS
NOBODY: frozenset[SilentSource] = frozenset()


@pytest.fixture(scope="module")
def policy() -> Policy:
    rules = load_rule_set()
    return Policy(StitchingRules(14 * DAY_MS, 90 * DAY_MS, 7 * DAY_MS), Plan(rules.rules, rules.calendars))


def waiting_for_parcel(policy: Policy) -> Customer:
    customer = Customer("customer_id:A", policy)
    customer.add(touch("order_placed", 0, "e0", order_id="O", details={"promised_by": at(5)}), at(0))
    customer.review(at(0))
    return customer


def rules_of(customer: Customer, now_ms: int, silent: dict[str, int]) -> list[tuple[str, str]]:
    return [(state.rule, state.change) for state in customer.review(now_ms, Context(None, silent))]


def test_what_rests_on_a_silent_source_is_held_back_and_told_when_it_speaks_again(policy: Policy) -> None:
    customer = waiting_for_parcel(policy)
    silent = {"delivery": at(4)}
    assert rules_of(customer, at(6), silent) == []
    assert customer.due_ms <= at(6) + 60_000, "it must be looked at again soon"
    assert rules_of(customer, at(7), silent) == []
    assert rules_of(customer, at(8), {}) == [("broken_promise", "opened")]


def test_what_came_late_is_never_told(policy: Policy) -> None:
    customer = waiting_for_parcel(policy)
    assert rules_of(customer, at(6), {"delivery": at(4)}) == []
    customer.add(touch("delivered", 4.5, "e1", order_id="O", details={}), at(7))
    assert rules_of(customer, at(7), {}) == []


def test_another_silent_source_holds_nothing_back(policy: Policy) -> None:
    assert rules_of(waiting_for_parcel(policy), at(6), {"web": at(4)}) == [("broken_promise", "opened")]


def test_a_wait_depends_on_the_source_that_would_tell_of_its_end(policy: Policy) -> None:
    customer = Customer("customer_id:A", policy)
    customer.add(touch("queue_joined", 0, "e0", store_id="S", details={"queue": "till"}), at(0))
    call = {"contact_id": "K", "topic": "warranty"}
    customer.add(touch("contact_started", 0, "e1", channel="phone", details=call), at(0))
    silent = {"store": at(0)}
    assert [state.subject for state in customer.review(at(0.5), Context(None, silent))] == ["K"]


def test_what_became_true_before_the_silence_is_told(policy: Policy) -> None:
    assert rules_of(waiting_for_parcel(policy), at(8), {"delivery": at(7)}) == [("broken_promise", "opened")]


def test_what_was_told_already_stays(policy: Policy) -> None:
    customer = waiting_for_parcel(policy)
    assert rules_of(customer, at(6), {}) == [("broken_promise", "opened")]
    assert rules_of(customer, at(7), {"delivery": at(4)}) == [("broken_promise", "updated")]


def test_a_settled_matter_is_told_though_the_source_is_silent_again(policy: Policy) -> None:
    customer = waiting_for_parcel(policy)
    customer.add(touch("delivered", 6, "e1", order_id="O", details={}), at(6))
    assert ("broken_promise", "resolved") in rules_of(customer, at(7), {"delivery": at(4)})


def test_one_alert_for_a_silence_from_its_beginning_to_its_end() -> None:
    alerts, opened = judge_sources({"web": 1_000}, NOBODY, 50_000)
    assert [(s.rule, s.subject, s.status, s.change, s.actual, s.kind) for s in opened] == [
        ("source_silent", "web", "open", "opened", 49.0, "source")
    ]
    assert opened[0].episode_id == episode_id_of(SilentSource("web", 1_000))
    assert judge_sources({"web": 1_000}, alerts, 60_000) == (alerts, [])
    # Somebody else has heard a little more of it: still the same silence.
    assert judge_sources({"web": 2_000}, alerts, 60_000) == (alerts, [])
    left, ended = judge_sources({}, alerts, 70_000)
    assert left == NOBODY and [(s.episode_id, s.status, s.resolved_ms) for s in ended] == [
        (opened[0].episode_id, "resolved", 70_000)
    ]


def test_a_second_silence_is_another_alert() -> None:
    _, first = judge_sources({"web": 1_000}, NOBODY, 50_000)
    _, second = judge_sources({"web": 90_000}, NOBODY, 190_000)
    assert first[0].episode_id != second[0].episode_id


def test_its_texts_can_be_filled_in() -> None:
    assert SOURCE_SILENT.reason.en.format(place="web", actual="12 min").startswith("web has said nothing for 12 min")
