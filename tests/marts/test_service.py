"""Contacts, waits, complaints, surveys and the site's word on stock: what a naive query gets wrong."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy
import pytest

from tests.marts.conftest import Load
from tests.marts.loading import say

pytestmark = pytest.mark.integration
MORNING = datetime(2026, 9, 1, 8, tzinfo=UTC)
RANGE = "since = '2026-09-01', until = '2026-10-01'"


def at(seconds: float = 0, days: float = 0) -> str:
    """A moment so long after the morning of the first day."""
    return (MORNING + timedelta(days=days, seconds=seconds)).isoformat(timespec="milliseconds")


def contact(type: str, contact_id: str, moment: str, customer: str = "C-1", **more: Any) -> dict[str, Any]:
    """A touchpoint of a contact; what is no field of the envelope is a property."""
    envelope = {name: more.pop(name) for name in ("channel", "order_id", "agent_id", "event_id") if name in more}
    properties = {"contact_id": contact_id, **more}
    return say(customer, f"contact_{type}", moment, source="support", properties=properties, **envelope)


def started(contact_id: str, moment: str, customer: str = "C-1", **more: Any) -> dict[str, Any]:
    return contact("started", contact_id, moment, customer, **{"channel": "phone", **more})


def test_a_contact_is_one_row_with_its_first_answers(history: Load) -> None:
    analyst = history(
        [
            started("K-1", at(0), topic="refund", channel="chat", order_id="O-1"),
            contact("answered", "K-1", at(3), by="bot"),
            contact("answered", "K-1", at(90), by="human", agent_id="A-1"),
            contact("transferred", "K-1", at(200), to_queue="billing"),
            contact("answered", "K-1", at(260), by="human", agent_id="A-2"),
            contact("ended", "K-1", at(400), resolved=True, handle_seconds=310.5),
        ]
    )
    rows = analyst.query(
        "SELECT topic, channel, order_id, wait_seconds, human_wait_seconds, handle_seconds, agent_id, transfers, "
        "escalated, resolved, abandoned, journey_id = (SELECT journey_id FROM analytics.journeys) "
        "FROM analytics.contacts"
    )
    assert rows == [("refund", "chat", "O-1", 3.0, 90.0, 310.5, "A-2", 1, False, True, False, 1)]


def test_an_answer_without_a_start_invents_no_wait(history: Load) -> None:
    analyst = history(
        [
            contact("answered", "K-1", at(0), by="human", channel="phone"),
            # A clock that went wrong: answered before it was asked.
            started("K-2", at(100), topic="billing"),
            contact("answered", "K-2", at(90), by="human", channel="chat"),
            started("K-3", at(200)),
        ]
    )
    rows = analyst.query(
        "SELECT contact_id, topic, started_at IS NULL, answered_at IS NULL, wait_seconds, human_wait_seconds, resolved "
        "FROM analytics.contacts ORDER BY contact_id"
    )
    assert rows == [
        ("K-1", "", 1, 0, None, None, None),
        ("K-2", "billing", 0, 0, None, None, None),
        ("K-3", "", 0, 1, None, None, None),
    ]
    waits = analyst.query(
        "SELECT subject, waited_until, seconds FROM analytics.waits WHERE kind = 'contact' ORDER BY 1"
    )
    assert waits == [("K-2", None, None), ("K-3", None, None)]


def test_the_same_problem_is_the_same_order_or_topic_of_one_customer(history: Load) -> None:
    analyst = history(
        [
            started("K-1", at(), order_id="O-1"),
            started("K-2", at(days=1), topic="delivery"),
            started("K-3", at(days=2), topic="delivery", order_id="O-1"),
            started("K-4", at(days=3), topic="billing"),
            started("K-5", at(days=3.5)),
            started("K-6", at(days=4)),
            started("K-7", at(days=5), topic="billing", customer="C-2"),
            started("K-8", at(days=6), order_id="O-1", topic="billing"),
        ]
    )
    rows = analyst.query(
        "SELECT contact_id, previous_contact_id, seconds_since_previous FROM analytics.contacts "
        "WHERE previous_contact_id != '' OR seconds_since_previous IS NOT NULL ORDER BY contact_id"
    )
    # K-3 follows K-1 by its order and K-2 by its topic; K-8 follows K-3 and K-4. The later one is the previous one.
    assert rows == [("K-3", "K-2", 86_400.0), ("K-8", "K-4", 3 * 86_400.0)]


WINDOW: list[dict[str, Any]] = [
    # Asked again exactly at the end of the window, and a moment later.
    started("K-1", at(), "C-1", topic="warranty"),
    started("K-2", at(days=7), "C-1", topic="warranty"),
    started("K-3", at(), "C-2", topic="warranty"),
    started("K-4", at(days=7, seconds=0.001), "C-2", topic="warranty"),
    started("K-5", at(), "C-3", topic="warranty", channel="chat"),
    # Named nothing, twice.
    started("K-6", at(), "C-4", channel="chat"),
    started("K-7", at(5), "C-4", channel="chat"),
    # Its window is not over at the end of the range.
    started("K-8", at(days=25), "C-5", topic="refund", channel="chat"),
    # A repeat of what was asked before the range began.
    started("K-9", at(days=-3), "C-6", topic="refund"),
    started("K-A", at(days=1), "C-6", topic="refund"),
    # One contact whose start came twice is no repeat of itself.
    started("K-B", at(), "C-7", topic="refund", channel="chat"),
    started("K-B", at(1), "C-7", topic="refund", channel="chat"),
]


def test_first_contact_resolution_leaves_out_what_is_not_decided(history: Load) -> None:
    analyst = history(WINDOW)
    rows = analyst.query(f"SELECT * FROM analytics.first_contact_resolution({RANGE}, window_days = 7) ORDER BY channel")
    # Phone: first are K-1 (asked again), K-3 and K-4; K-2 and K-A are none. Chat: K-5 and K-B; K-8 waits for its week.
    assert rows == [("chat", 2, 2, 1.0, 1, 2), ("phone", 3, 2, pytest.approx(2 / 3), 0, 0)]
    [(first, share)] = analyst.query(
        "SELECT first_contacts, first_contact_resolution_share FROM analytics.first_contact_resolution("
        f"{RANGE}, window_days = 29) WHERE channel = 'phone'"
    )
    assert (first, share) == (2, 0.0)


def test_repeat_contacts_look_back_before_the_range(history: Load) -> None:
    analyst = history(WINDOW)
    rows = analyst.query(f"SELECT * FROM analytics.repeat_contacts({RANGE}, window_days = 7) ORDER BY topic")
    assert rows == [("", 2, 0, 0.0), ("refund", 3, 1, pytest.approx(1 / 3)), ("warranty", 5, 1, 0.2)]
    again = analyst.query(
        f"SELECT contact_id FROM analytics.contacts_by_problem({RANGE}, window_days = 8) WHERE asked_before ORDER BY 1"
    )
    assert again == [("K-2",), ("K-4",), ("K-A",)]


def test_wismo_counts_a_contact_once_and_has_no_share_of_nothing(history: Load) -> None:
    analyst = history(
        [
            say("C-1", "order_status_viewed", at(), order_id="O-1"),
            say("C-1", "order_status_viewed", at(60), order_id="O-1"),
            started("K-1", at(120), topic="delivery", order_id="O-1"),
            started("K-1", at(121), topic="delivery", order_id="O-1", event_id="again"),
            started("K-2", at(180), topic="billing"),
            say("C-2", "order_status_viewed", at(days=1), order_id="O-2"),
        ]
    )
    rows = analyst.query(f"SELECT toString(day), * EXCEPT day FROM analytics.wismo({RANGE}) ORDER BY 1")
    assert rows == [("2026-09-01", 2, 1, 2, 0.5, 1.5), ("2026-09-02", 1, 0, 0, None, None)]


CALLS: list[dict[str, Any]] = [
    started("K-1", at()),
    contact("answered", "K-1", at(20), by="human"),
    started("K-2", at(1000)),
    contact("answered", "K-2", at(1020.001), by="human"),
    started("K-3", at(2000)),
    contact("abandoned", "K-3", at(2004.999)),
    started("K-4", at(3000)),
    contact("abandoned", "K-4", at(3005)),
    started("K-5", at(4000)),
    # Gave up after an answer: answered, not abandoned.
    started("K-6", at(5000)),
    contact("answered", "K-6", at(5010), by="human"),
    contact("abandoned", "K-6", at(5100)),
    # A bot at once, a human late.
    started("K-7", at(6000), channel="chat"),
    contact("answered", "K-7", at(6001), by="bot"),
    contact("answered", "K-7", at(6101), by="human"),
    # Served by the bot alone.
    started("K-8", at(7000), channel="chat"),
    contact("answered", "K-8", at(7001), by="bot"),
    contact("ended", "K-8", at(7100), resolved=True),
    # Answered only after the end of the range.
    started("K-9", at(8000)),
    contact("answered", "K-9", "2026-10-01T00:00:00.000Z", by="human"),
]


def test_service_level_counts_who_gave_up_but_not_who_gave_up_at_once(history: Load) -> None:
    analyst = history(CALLS)

    def level(by: str) -> list[tuple[Any, ...]]:
        options = f"{RANGE}, threshold_seconds = 20, short_abandon_seconds = 5, answered_by = '{by}'"
        return analyst.query(f"SELECT * FROM analytics.service_level({options}) ORDER BY channel")

    # Phone: 3 answered in 20, 20.001 and 10 s; K-4 abandoned; K-3 too soon to count; K-5 and K-9 still wait.
    phone = ("phone", 7, 3, 2, 1, 1, 2, 2 / 4, 1 / 4, pytest.approx((20 + 20.001 + 10) / 3))
    assert level("human") == [("chat", 2, 1, 0, 0, 0, 1, 0.0, 0.0, 101.0), phone]
    assert level("any") == [("chat", 2, 2, 2, 0, 0, 0, 1.0, 0.0, 1.0), phone]


def test_waits_without_an_answer_have_no_length(history: Load) -> None:
    analyst = history(CALLS)
    rows = analyst.query(
        "SELECT kind, subject, seconds, gave_up, dateDiff('second', waited_from, gave_up_at) FROM analytics.waits "
        "WHERE subject NOT IN ('K-1', 'K-2', 'K-9') ORDER BY kind, subject"
    )
    assert rows == [
        ("contact", "K-3", None, True, 4),
        ("contact", "K-4", None, True, 5),
        ("contact", "K-5", None, False, None),
        ("contact", "K-6", 10.0, False, None),
        ("contact", "K-7", 1.0, False, None),
        ("contact", "K-8", 1.0, False, None),
        ("human", "K-3", None, True, 4),
        ("human", "K-4", None, True, 5),
        ("human", "K-5", None, False, None),
        ("human", "K-6", 10.0, False, None),
        ("human", "K-7", 101.0, False, None),
    ]


def in_line(type: str, moment: str, customer: str = "C-1", queue: str = "till", store: str = "S-1") -> dict[str, Any]:
    event_id = f"{type}-{customer}-{queue}-{store}-{moment}"
    properties = {"queue": queue}
    return say(customer, type, moment, source="store", store_id=store, properties=properties, event_id=event_id)


def test_a_queue_wait_ends_with_its_own_service(history: Load) -> None:
    analyst = history(
        [
            in_line("queue_joined", at()),
            in_line("queue_joined", at(10), queue="returns"),
            in_line("service_started", at(40), queue="returns"),
            in_line("service_started", at(300)),
            # Walked out, and stood in the same line an hour later.
            in_line("queue_joined", at(4000)),
            in_line("queue_joined", at(7600)),
            in_line("service_started", at(7700)),
            # Served elsewhere.
            in_line("queue_joined", at(9000), store="S-2"),
            in_line("service_started", at(9100), store="S-3"),
        ]
    )
    rows = analyst.query("SELECT subject, store_id, seconds, gave_up FROM analytics.waits ORDER BY waited_from")
    assert rows == [
        ("till", "S-1", 300.0, False),
        ("returns", "S-1", 30.0, False),
        ("till", "S-1", None, True),
        ("till", "S-1", 100.0, False),
        ("till", "S-2", None, False),
    ]


def test_wait_quantiles_say_how_many_they_do_not_know_of(history: Load) -> None:
    waits = [1.5, 20.0, 35.25, 90.0, 610.0]
    line = [in_line("queue_joined", at(), f"C-{number}") for number in range(len(waits) + 2)]
    line += [in_line("service_started", at(wait), f"C-{number}") for number, wait in enumerate(waits)]
    analyst = history([*line, in_line("queue_joined", at(), "C-9", store="S-9")])
    known, unknown = analyst.query(f"SELECT * FROM analytics.wait_quantiles({RANGE}) ORDER BY store_id")
    expected = [*numpy.quantile(waits, [0.5, 0.9, 0.95, 0.99]), 610.0]
    assert known == ("queue", "S-1", "", 5, 2, 0, *(pytest.approx(value) for value in expected))
    assert unknown == ("queue", "S-9", "", 0, 1, 0, None, None, None, None, None)


def case(type: str, hours: float, case_id: str | None, customer: str = "C-1", **more: Any) -> dict[str, Any]:
    named = {"case_id": case_id} if case_id else {}
    properties = {"topic": "service"} if type == "opened" else {}
    return say(
        customer, f"complaint_{type}", at(hours * 3600), source="support", properties=properties, **named, **more
    )


CASES: list[dict[str, Any]] = [
    case("opened", 0, "Q-1"),
    case("opened", 1, "Q-1"),
    case("resolved", 10, "Q-1"),
    case("resolved", 11, "Q-1"),
    case("opened", 30, "Q-1"),
    case("resolved", 50, "Q-1"),
    case("opened", 2, "Q-2"),
    case("resolved", 5, "Q-2"),
    case("opened", 9, "Q-2"),
    case("opened", 3, "Q-3", "C-2"),
    case("opened", 4, None, "C-2", order_id="O-1"),
    case("resolved", 6, None, "C-2", order_id="O-1"),
    # Settled only; and first opened before the range, opened again within.
    case("resolved", 7, "Q-4", "C-3"),
    case("opened", -100, "Q-5", "C-3"),
    case("resolved", -90, "Q-5", "C-3"),
    case("opened", 8, "Q-5", "C-3"),
]


def test_a_case_opened_again_is_one_case(history: Load) -> None:
    analyst = history(CASES)
    rows = analyst.query(
        "SELECT case_id, opened_at IS NULL, reopened, hours_to_first_resolve, hours_to_resolve, resolved_at IS NULL "
        "FROM analytics.complaints ORDER BY case_id"
    )
    assert rows == [
        ("O-1", 0, 0, 2.0, 2.0, 0),
        ("Q-1", 0, 1, 10.0, 50.0, 0),
        ("Q-2", 0, 1, 3.0, None, 1),
        ("Q-3", 0, 0, None, None, 1),
        ("Q-4", 1, 0, None, None, 0),
        ("Q-5", 0, 1, 10.0, None, 1),
    ]
    # Two of the four settled cases were opened again: Q-3 never was settled, and Q-5 began before the range.
    cycle = analyst.query(f"SELECT toString(week), * EXCEPT week FROM analytics.complaint_cycle({RANGE})")
    assert cycle == [("2026-08-31", 4, 2, 2, 3, 2, pytest.approx(2 / 3), 26.0, pytest.approx(2 + 0.9 * 48))]


def look(type: str, hours: float, customer: str = "C-1", store: str = "S-1", **more: Any) -> dict[str, Any]:
    properties = {"sku": "K-1", **more}
    envelope = {} if type == "stock_shown" else {"store_id": store}
    event_id = f"{type}-{customer}-{store}-{hours}"
    source = "web" if type == "stock_shown" else "store"
    return say(customer, type, at(hours * 3600), source=source, event_id=event_id, properties=properties, **envelope)


def test_what_the_site_said_is_held_against_what_anybody_met_there(history: Load) -> None:
    analyst = history(
        [
            # Another customer finds the shelf empty exactly 24 hours later.
            look("stock_shown", 0, in_stock=True, store_id="S-1"),
            look("item_unavailable", 24, "C-2"),
            # Found, then not: both within the time of the first word, none within that of the second.
            look("stock_shown", 100, in_stock=True, store_id="S-2"),
            look("stock_checked", 101, "C-3", "S-2", in_stock=True),
            look("stock_checked", 110, "C-3", "S-2", in_stock=False),
            look("stock_shown", 111, "C-4", in_stock=True, store_id="S-2"),
            # No store is named; it was never said to be there; it was missed before it was said.
            look("stock_shown", 0, "C-5", in_stock=True),
            look("stock_shown", 0, "C-6", in_stock=False, store_id="S-1"),
            look("item_unavailable", -1, "C-7", "S-3"),
            look("stock_shown", 0, "C-7", in_stock=True, store_id="S-3"),
            look("stock_checked", 5, "C-7", "S-3", in_stock=True),
            # Its 24 hours are not over at the end of the range.
            look("stock_shown", 29 * 24 - 1, in_stock=True, store_id="S-1"),
        ]
    )
    rows = analyst.query(f"SELECT * FROM analytics.stock_accuracy({RANGE}) ORDER BY store_id, sku")
    assert rows == [
        ("S-1", "K-1", 1, 1, 1, 1.0, 1.0),
        ("S-2", "K-1", 2, 1, 1, 0.5, 1.0),
        ("S-3", "K-1", 1, 1, 0, 0.0, 0.0),
    ]


def test_scores_out_of_scale_are_counted_apart(history: Load) -> None:
    answers: list[tuple[str, float, float | None]] = [
        *(("csat", score, None) for score in (1, 3, 4, 5, 0, 8)),
        ("csat", 5, 10),
        ("csat", 5, 5),
        *(("ces", score, None) for score in (1, 4, 5, 7, 8)),
        ("nps", 4, 5),
        ("nps", 0, 5),
        *(("nps", score, None) for score in (0, 6, 7, 8, 9, 10, 10)),
    ]
    analyst = history(
        say(
            "C-1", "survey_answered", at(number), source="feedback",
            properties={"metric": metric, "score": score, **({"scale": scale} if scale else {})},
        )
        for number, (metric, score, scale) in enumerate(answers)
    )  # fmt: skip
    rows = analyst.query(f"SELECT * EXCEPT week FROM analytics.surveys({RANGE}) ORDER BY metric")
    assert rows == [
        ("ces", 4, 1, 2, 1, 0.5, None, 4.25),
        ("csat", 5, 3, 3, 1, 0.6, None, 3.6),
        ("nps", 7, 2, 3, 2, pytest.approx(3 / 7), pytest.approx(100 / 7), pytest.approx(50 / 7)),
    ]
