"""What hurt and what delighted: where, for how long, what it cost, what came after; all worked out by hand."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from deploy.local.stack import LocalStack
from deploy.services import clickhouse_client_options
from schemas.errors import Terminal
from schemas.settings import Settings
from sinks.tables import ALERT_ACTIONS, ALERTS
from sinks.writer import ClickHouseWriter
from tests.marts.conftest import Load
from tests.marts.loading import say
from tests.sinks.rows import put, uuid

pytestmark = pytest.mark.integration

START = datetime(2026, 9, 1, 10, tzinfo=UTC)
TILL = {"queue": "till"}


def at(days: float = 0, minutes: float = 0) -> str:
    return (START + timedelta(days=days, minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(days: float = 0) -> str:
    """For a parameter of a view, which takes no `Z`."""
    return f"{START + timedelta(days=days):%Y-%m-%d %H:%M:%S.%f}"[:-3]


def ms(days: float = 0, minutes: float = 0) -> int:
    return int((START + timedelta(days=days, minutes=minutes)).timestamp() * 1000)


def waits(customer: str, days: float = 0, store: str = "S-1", agent: str = "A-1") -> list[dict[str, Any]]:
    """20 minutes in a store's queue: friction 1 ms after the 10th, over with the 20th, by a touchpoint."""
    more: dict[str, Any] = {"source": "store", "store_id": store, "properties": TILL}
    served = say(customer, "service_started", at(days, 20), agent_id=agent, **more)
    return [say(customer, "queue_joined", at(days), **more), served]


def loses_hold(customer: str, days: float = 0, store: str = "S-2") -> list[dict[str, Any]]:
    """A hold that runs out after an hour unasked: friction, which ends 2 days later by itself."""
    held = {"sku": "K-1", "expires_at": at(days, 60)}
    more = {"source": "store", "store_id": store}
    expired = say(customer, "hold_expired", at(days, 60), properties={"sku": "K-1"}, **more)
    return [say(customer, "hold_created", at(days), properties=held, **more), expired]


def buys(customer: str, days: float, amount: float = 100, currency: str = "ILS", minutes: float = 30) -> dict[str, Any]:
    paid = {"receipt_id": f"R-{customer}-{days}", "amount": amount, "currency": currency}
    return say(customer, "purchased", at(days, minutes), source="store", store_id="S-1", properties=paid)


def looks(customer: str, days: float, minutes: float = 0) -> dict[str, Any]:
    return say(customer, "page_viewed", at(days, minutes), properties={"url": "https://shop.example/"})


def gift(customer: str, days: float) -> dict[str, Any]:
    return say(customer, "gift_given", at(days), source="messaging", properties={"kind": "free_coffee"})


@pytest.fixture
def administrator(server: LocalStack) -> Iterator[ClickHouseWriter]:
    with closing(ClickHouseWriter(clickhouse_client_options(server.clickhouse_url, Settings()))) as writer:
        yield writer


def ordered(*parts: Any) -> list[dict[str, Any]]:
    every = [each for part in parts for each in (part if isinstance(part, list) else [part])]
    return sorted(every, key=lambda each: str(each["occurred_at"]))


def test_where_it_was_comes_from_the_evidence_when_the_alert_does_not_say(history: Load) -> None:
    chat: dict[str, Any] = {"source": "support", "channel": "chat"}
    order: dict[str, Any] = {"order_id": "O-1", "properties": {"amount": 9, "currency": "ILS", "promised_by": at(2)}}
    parcel: dict[str, Any] = {"source": "delivery", "order_id": "O-1", "properties": {"carrier": "Fast"}}
    answered = {"contact_id": "K-1", "by": "human"}
    analyst = history(
        ordered(
            waits("C-1"),
            say("C-2", "contact_started", at(), properties={"contact_id": "K-1"}, **chat),
            say("C-2", "contact_answered", at(0, 4), properties=answered, agent_id="A-2", **chat),
            say("C-3", "order_placed", at(), channel="app", **order),
            say("C-3", "delivered", at(3), **parcel),
        )
    )
    columns = "rule, store_id, agents, channels, carriers"
    assert analyst.query(f"SELECT {columns} {places('friction')}") == [
        ("long_wait", "S-1", ["A-1"], ["store"], []),
        ("long_wait", "", ["A-2"], ["chat"], []),
        ("broken_promise", "", [], ["app", "delivery"], ["Fast"]),
    ]
    columns = "rule, store_id, ended_by, seconds_to_end, hour, weekday"
    assert analyst.query(f"SELECT {columns} FROM analytics.frictions ORDER BY customer_id") == [
        ("long_wait", "S-1", "touchpoint", 599.999, 10, 2),
        ("long_wait", "", "touchpoint", 179.999, 10, 2),
        ("broken_promise", "", "touchpoint", 86399.999, 10, 4),
    ]


def places(kind: str, since: float = 0, until: float = 30) -> str:
    moments = f"since='{moment(since)}', until='{moment(until)}'"
    return f"FROM analytics.episode_places({moments}, kind='{kind}') ORDER BY customer_id, opened_at"


def test_evidence_from_before_the_range_is_found_and_what_was_retracted_is_not(
    history: Load, administrator: ClickHouseWriter
) -> None:
    told: dict[str, Any] = {"order_id": "O-1", "properties": {"amount": 9, "currency": "ILS", "promised_by": at(20)}}
    analyst = history([say("C-1", "order_placed", at(), channel="app", **told), *waits("C-2", 21)], until_ms=ms(22))
    columns = "rule, store_id, agents, channels"
    waited = ("long_wait", "S-1", ["A-1"], ["store"])
    assert analyst.query(f"SELECT {columns} {places('friction', 19)}") == [("broken_promise", "", [], ["app"]), waited]
    administrator.query(
        "INSERT INTO journeys.touchpoints SELECT * REPLACE (_version + 1 AS _version, 1 AS _is_deleted) "
        "FROM journeys.touchpoints WHERE customer_id = 'C-1'"
    )
    assert analyst.query(f"SELECT {columns} {places('friction', 19)}") == [("broken_promise", "", [], []), waited]
    assert analyst.query(f"SELECT {columns} {places('friction', 0, 19)}") == []


def test_frictions_that_end_at_one_moment_are_each_told_once_with_and_without_a_range(history: Load) -> None:
    order = {"amount": 9, "currency": "ILS", "promised_by": at(2)}
    steps = [
        step
        for name in ("O-1", "O-2")
        for step in (
            say("C-1", "order_placed", at(), order_id=name, event_id=name, properties=order),
            say("C-1", "delivered", at(3), order_id=name, event_id=name, source="delivery"),
        )
    ]
    analyst = history(ordered(steps, loses_hold("C-2")), until_ms=ms(6))
    columns = "customer_id, subject, ended_by, seconds_to_end"
    ranged = f"analytics.frictions_between(since='{moment(2)}', until='{moment(3)}')"
    found = [analyst.query(f"SELECT {columns} FROM {view} ORDER BY ALL") for view in ("analytics.frictions", ranged)]
    late = [("C-1", name, "touchpoint", 86399.999) for name in ("O-1", "O-2")]
    assert found == [[*late, ("C-2", "K-1", "time", 2 * 86400.0)], late]
    every = f"analytics.frictions_between(since='{moment()}', until='{moment(9)}')"
    assert analyst.query(f"SELECT * FROM {every} ORDER BY ALL") == analyst.query(
        "SELECT * FROM analytics.frictions ORDER BY ALL"
    )


def test_an_end_because_time_has_passed_is_no_solution_and_has_no_duration(history: Load) -> None:
    analyst = history(ordered(waits("C-1"), loses_hold("C-2"), loses_hold("C-3", 5)), until_ms=ms(6))
    sql = "SELECT rule, ended_by, seconds_to_end FROM analytics.frictions ORDER BY opened_at"
    assert analyst.query(sql) == [
        ("long_wait", "touchpoint", 599.999),
        ("hold_lost", "time", 2 * 86400.0),
        ("hold_lost", "", None),
    ]
    sql = "SELECT value, episodes, open, resolved, timed_out, round(median_hours_to_resolve, 4)"
    assert analyst.query(f"{sql} {by('rule')}") == [("hold_lost", 2, 1, 0, 1, None), ("long_wait", 1, 0, 1, 0, 0.1667)]
    # Together: not the median of 10 minutes and 48 hours.
    assert analyst.query(f"{sql} {by('severity')}") == [("warning", 3, 1, 1, 1, 0.1667)]


def by(dimension: str, until: float = 30) -> str:
    moments = f"since='{moment()}', until='{moment(until)}'"
    return f"FROM analytics.friction_by({moments}, dimension='{dimension}') ORDER BY value"


def test_a_store_is_measured_by_the_journeys_that_came_there(history: Load) -> None:
    visits = [say(f"V-{number}", "visit_started", at(1), source="store", store_id="S-1") for number in range(3)]
    analyst = history(
        ordered(waits("C-1"), waits("C-2", 1, "S-2"), visits, looks("C-3", 1), missing("C-4")), until_ms=ms(4)
    )
    columns = "value, episodes, journeys, episodes_per_1000_journeys"
    assert analyst.query(f"SELECT {columns} {by('store')}") == [
        ("", 1, None, None),
        ("S-1", 1, 4, 250.0),
        ("S-2", 1, 1, 1000.0),
    ]
    assert analyst.query(f"SELECT {columns} {by('rule')}")[0] == ("long_wait", 2, 7, 2000 / 7)
    assert analyst.query(f"SELECT value, episodes {by('weekday')}") == [("2", 2), ("3", 1)]
    # Until is the first moment that does not count.
    [opened] = analyst.query("SELECT max(opened_at) FROM analytics.frictions WHERE rule = 'long_wait'")[0]
    until = (opened - START) / timedelta(days=1)
    assert analyst.query(f"SELECT value {by('store', until)}") == [("",), ("S-1",)]


def missing(customer: str) -> list[dict[str, Any]]:
    """A call back that never comes: friction that stays open, of no store."""
    about: dict[str, Any] = {"source": "support", "channel": "phone", "agent_id": "A-9"}
    due = {"contact_id": "K-9", "due_at": at(0, 120)}
    return [say(customer, "callback_promised", at(), properties=due, **about)]


def test_an_episode_with_two_agents_counts_once_for_each(history: Load) -> None:
    call: dict[str, Any] = {"source": "support", "channel": "phone"}
    steps = [("contact_transferred", {"to_queue": "q"}, minute, f"A-{1 + minute % 2}") for minute in (2, 3)]
    analyst = history(
        [
            say("C-1", "contact_started", at(), properties={"contact_id": "K-1"}, **call),
            say("C-1", "contact_answered", at(0, 1), properties={"contact_id": "K-1", "by": "human"}, **call),
            *(
                say("C-1", kind, at(0, minute), properties={"contact_id": "K-1", **more}, agent_id=agent, **call)
                for kind, more, minute, agent in steps
            ),
        ]
    )
    assert analyst.query("SELECT rule FROM analytics.frictions") == [("ping_pong",)]
    told = analyst.query(f"SELECT value, episodes, customers, journeys {by('agent')}")
    assert told == [("A-1", 1, 1, 1), ("A-2", 1, 1, 1)]


def test_a_dimension_that_there_is_not_is_refused(history: Load) -> None:
    analyst = history(waits("C-1"))
    with pytest.raises(Terminal, match="dimension is rule, store"):
        analyst.query(f"SELECT * {by('shop')}")


def test_the_clean_side_is_weighted_by_first_source(history: Load) -> None:
    came = [say(name, "visit_started", at(0, -9), source="store", store_id="S-1") for name in ("S-1", "S-2", "S-3")]
    chat: dict[str, Any] = {"source": "support", "channel": "chat", "properties": {"contact_id": "K-1"}}
    analyst = history(
        ordered(
            [looks(f"W-{number}", 0) for number in range(4)],
            buys("W-0", 0, 1000),
            came,
            [buys("S-1", 0, 50), buys("S-2", 15, 70), buys("S-3", 0, 500, "USD")],
            say("S-2", "visit_started", at(8), source="store", store_id="S-1"),
            [*waits("X-1"), *waits("X-2")],
            [buys("X-1", 0, 90), buys("X-1", 20, 30)],
            looks("X-3", 0),
            say("X-3", "contact_started", at(0, 1), **chat),
            say("X-3", "contact_abandoned", at(0, 9), **chat),
            looks("Z-1", 40),
        )
    )
    [row] = analyst.query(
        "SELECT journeys, compared, clean, conversion_share, clean_conversion_share, amounts, clean_amounts, "
        "mean_amount, clean_mean_amount, amount_difference, currency, watched, clean_watched, repeat_share, "
        f"clean_repeat_share FROM analytics.friction_cost(since='{moment(-1)}', until='{moment(18)}') "
        "WHERE rule = 'long_wait'"
    )
    # Clean: of 4 from the web one bought, of 3 from a store all. Of those who waited 2 came by store and 1 by web.
    assert row[:3] == (3, 3, 7)
    assert row[3:5] == (pytest.approx(1 / 3), pytest.approx((2 * 1 + 1 * 0.25) / 3))
    # Amounts only of stores (no one from the web who waited bought), and none in another currency.
    assert row[5:11] == (1, 2, 90.0, 60.0, 30.0, "ILS")
    # Of S-2 the 30 days have not passed.
    assert row[11:] == (1, 2, 1.0, 0.0)


def test_recovery_is_what_somebody_did_within_seven_days(history: Load) -> None:
    analyst = history(
        ordered(
            [*waits("R-1"), gift("R-1", 2), buys("R-1", 10)],
            [*loses_hold("R-2"), buys("R-2", 5)],
            [*loses_hold("R-3"), gift("R-3", 3), buys("R-3", 12)],
            [*loses_hold("R-4"), gift("R-4", 9)],
            loses_hold("R-5", 38),
            [*loses_hold("R-6", 20), buys("R-6", 29)],
            looks("Z-1", 40),
        ),
        until_ms=ms(40),
    )
    columns = "rule, recovery, episodes, known_episodes, share, watched, bought, bought_share"
    told = analyst.query(
        f"SELECT {columns} FROM analytics.recovery(since='{moment()}', until='{moment(40)}') "
        "WHERE rule IN ('long_wait', 'hold_lost') ORDER BY rule DESC, recovery"
    )
    assert told == [
        ("long_wait", "both", 1, 1, 1.0, 1, 1, 1.0),
        ("hold_lost", "delighted", 1, 4, 0.25, 1, 1, 1.0),
        ("hold_lost", "none", 3, 4, 0.75, 2, 0, 0.0),
        ("hold_lost", "not_yet", 1, 4, None, 0, None, None),
    ]


def test_an_opportunity_is_where_the_customer_is_now_and_tells_what_came_of_it(history: Load) -> None:
    analyst = history(
        ordered(
            [*waits("C-1"), looks("C-1", 2), gift("C-1", 2.1), buys("C-1", 4)],
            [*waits("C-2", 5), looks("C-2", 6.5)],
            looks("Z-1", 10.5),
        )
    )
    columns = (
        "customer_id, type, store_id, channel, frictions_before, got_gift_in_1_day, bought_in_1_day, "
        "delighted_in_7_days, friction_in_7_days"
    )
    sql = f"FROM analytics.delight_opportunities(since='{moment()}', until='{moment(9)}') ORDER BY opened_at"
    assert analyst.query(f"SELECT {columns} {sql}") == [
        ("C-1", "page_viewed", "", "web", ["long_wait"], 1, 0, 1, 0),
        ("C-2", "page_viewed", "", "web", ["long_wait"], 0, 0, None, None),
    ]


def test_parts_add_up_to_their_scores(history: Load) -> None:
    analyst = history(ordered(waits("C-1"), gift("C-1", 1), buys("C-1", 1), missing("C-2"), looks("C-3", 0)))
    sums = analyst.query(
        "SELECT customer_id, sumIf(points, score = 'experience'), sumIf(points, score = 'effort') "
        "FROM analytics.score_parts GROUP BY customer_id ORDER BY customer_id"
    )
    assert len(sums) == 3
    assert sums == analyst.query("SELECT customer_id, experience, effort FROM analytics.journeys ORDER BY customer_id")
    sql = "SELECT part, part_group, points FROM analytics.score_parts WHERE part LIKE 'friction.long%%' ORDER BY score"
    assert analyst.query(sql, {}) == [("friction.long_wait", "friction", -8.0)]


def test_who_has_gone_silent_after_trouble(history: Load) -> None:
    told: dict[str, Any] = {"source": "messaging", "properties": {"topic": "offer"}}
    analyst = history(
        ordered(
            [buys("C-1", -20), *waits("C-1"), say("C-1", "notification_sent", at(10), **told)],
            [*waits("C-2"), looks("C-2", 15)],
            [*waits("C-3"), looks("C-3", 10), looks("C-3", 22)],
            [*waits("C-4"), buys("C-4", 31)],
            [looks("C-5", 0)],
            waits("C-6", -50),
        )
    )
    sql = (
        "SELECT customer_id, last_seen_at, round(days_silent, 3), last_type, friction_rules, orders_before "
        f"FROM analytics.silent_customers(until='{moment(30)}', quiet_days=14) ORDER BY customer_id"
    )
    served = START + timedelta(minutes=20)
    silent = round(30 - 20 / 1440, 3)
    assert analyst.query(sql) == [
        ("C-1", served, silent, "service_started", ["long_wait"], 1),
        ("C-4", served, silent, "service_started", ["long_wait"], 0),
    ]


def test_a_person_may_end_it_and_what_was_withdrawn_never_was(history: Load, administrator: ClickHouseWriter) -> None:
    analyst = history(missing("C-1"), until_ms=ms(2))
    [(episode, opened)] = analyst.query("SELECT episode_id, opened_at FROM analytics.frictions WHERE status = 'open'")
    acted = {"action_id": str(uuid(1)), "episode": str(episode), "action": "resolve", "by": "dana"}
    put(administrator, ALERT_ACTIONS, {**acted, "acted_at_ms": int(opened.timestamp() * 1000) + 90_000})
    for number, kind in enumerate(("friction", "delight"), 7):
        withdrawn = {"episode_id": str(uuid(number)), "kind": kind, "status": "withdrawn", "customer_id": "C-1"}
        put(administrator, ALERTS, {**withdrawn, "rule": "no_human"})
    told = analyst.query("SELECT rule, status, ended_by, seconds_to_end FROM analytics.frictions")
    assert told == [("missed_callback", "resolved", "person", 90.0)]
    assert analyst.query("SELECT count() FROM analytics.delights") == [(0,)]


def test_a_source_was_silent_since_its_last_word_whenever_that_was_found(
    history: Load, administrator: ClickHouseWriter
) -> None:
    analyst = history([])
    about = {"rule": "source_silent", "kind": "source", "severity": "critical"}
    # As the worker writes it: while silent, opened_at is when it was found; afterwards it is since when.
    still = {"opened_at_ms": ms(0, 15), "last_seen_at_ms": ms(0, 15), "actual": 900.0, "status": "open"}
    over = {"opened_at_ms": ms(), "last_seen_at_ms": ms(0, 40), "resolved_at_ms": ms(0, 40), "actual": 2400.0}
    put(
        administrator,
        ALERTS,
        {"episode_id": str(uuid(1)), "subject": "store", **about, **still},
        {"episode_id": str(uuid(2)), "subject": "web", "status": "resolved", **about, **over},
    )
    columns = "source, status, silent_since, silent_until, silent_seconds"
    assert analyst.query(f"SELECT {columns} FROM analytics.source_outages ORDER BY source") == [
        ("store", "open", START, None, None),
        ("web", "resolved", START, START + timedelta(minutes=40), 2400.0),
    ]
