"""Where each rule begins and ends, to the millisecond, as the first edition says it."""

from typing import Any

import pytest

from producers.simulator import Friction, Ledger
from schemas.moments import format_epoch_ms
from tests.producers.simulator.drafts import MINUTE_MS, touchpoint
from tests.producers.simulator.lives import START_MS, occurred_ms
from tests.producers.simulator.oracle_touches import DAY_MS, HOUR_MS

Told = tuple[int, str, dict[str, Any]]
"""Milliseconds after the start, type, and properties; those that are fields are taken out of them."""
FIELDS = ("order_id", "case_id", "store_id", "channel", "agent_id")


def said(ms: int, type_name: str, **properties: Any) -> Told:
    return ms, type_name, properties


def live(*told: Told, days: int = 60) -> list[Friction]:
    """What is true of these, `e-0`, `e-1` and so on, a long time later."""
    ledger = Ledger()
    found: list[Friction] = []
    for number, (ms, type_name, properties) in enumerate(told):
        is_fact = type_name in ("restocked", "stock_level")
        names = () if is_fact or type_name in ("back_in_stock_requested", "stock_shown") else FIELDS
        fields = {name: properties[name] for name in names if name in properties}
        others = {name: value for name, value in properties.items() if name not in fields}
        made = touchpoint(number, START_MS + ms, type_name, others, **fields)
        found += (ledger.observe_fact if is_fact else ledger.observe)(occurred_ms(made), made)
    return [*found, *ledger.pass_time(START_MS + days * DAY_MS)]


def anchors(rule: str, *told: Told) -> list[str]:
    return [friction.anchor.split("/")[1] for friction in live(*told) if friction.rule == rule]


def at(ms: int) -> str:
    return format_epoch_ms(START_MS + ms)


def test_a_hold_that_is_renewed_in_time_is_one_hold_and_later_another() -> None:
    def renewed(ms: int) -> list[str]:
        return anchors(
            "hold_lost",
            said(0, "hold_created", sku="SKU-1", expires_at=at(HOUR_MS)),
            said(ms, "hold_created", sku="SKU-1", expires_at=at(2 * HOUR_MS)),
            said(ms + 1, "hold_collected", sku="SKU-1"),
        )

    assert renewed(HOUR_MS) == []
    assert renewed(HOUR_MS + 1) == ["e-0"]
    holds = [said(ms, "hold_created", sku="SKU-1", expires_at=at(ms + HOUR_MS)) for ms in (0, HOUR_MS)]
    assert anchors("hold_lost", *holds) == ["e-0"]


@pytest.mark.parametrize(
    ("reminder", "is_lost"),
    [
        ({"topic": "hold", "sku": "SKU-1"}, False),
        ({"topic": "hold"}, False),
        ({"topic": "hold", "sku": "SKU-2"}, True),
        ({"topic": "offer", "sku": "SKU-1"}, True),
    ],
)
def test_a_hold_is_lost_without_a_reminder_of_it(reminder: dict[str, str], is_lost: bool) -> None:
    held = said(0, "hold_created", sku="SKU-1", expires_at=at(HOUR_MS))
    reminded = said(MINUTE_MS, "notification_sent", **reminder)
    for expired_ms in (30 * MINUTE_MS, HOUR_MS, 3 * HOUR_MS):
        found = live(held, reminded, said(expired_ms, "hold_expired", sku="SKU-1"))
        opened = [each.true_at_ms - START_MS for each in found if each.rule == "hold_lost"]
        assert opened == [min(expired_ms, HOUR_MS + 1)] * is_lost


def test_only_the_first_restock_starts_the_clock_and_a_message_in_time_stops_it() -> None:
    def told(ms: int) -> list[str]:
        return anchors(
            "restock_silence",
            said(0, "back_in_stock_requested", sku="SKU-1"),
            said(HOUR_MS, "restocked", sku="SKU-1"),
            said(20 * HOUR_MS, "restocked", sku="SKU-1"),
            said(ms, "notification_sent", topic="restock", sku="SKU-1"),
        )

    assert told(25 * HOUR_MS) == []
    assert told(25 * HOUR_MS + 1) == ["e-0"]


def test_a_message_on_a_restock_answers_the_wish_for_no_store_first() -> None:
    wishes = (
        said(0, "back_in_stock_requested", sku="SKU-1", store_id="S-1"),
        said(1, "back_in_stock_requested", sku="SKU-1", store_id="S-2"),
        said(2, "back_in_stock_requested", sku="SKU-1"),
        said(HOUR_MS, "restocked", sku="SKU-1"),
    )
    messages = [said((2 + n) * HOUR_MS, "notification_sent", topic="restock", sku="SKU-1") for n in range(3)]
    silent = [anchors("restock_silence", *wishes, *messages[:count]) for count in range(4)]
    assert silent == [["e-0", "e-1", "e-2"], ["e-0", "e-1"], ["e-1"], []]


@pytest.mark.parametrize(("resolved_ms", "other_ms", "is_first"), [
    (2 * DAY_MS, 7 * DAY_MS + 1, True),
    (2 * DAY_MS + 1, 7 * DAY_MS + 1, False),
    (2 * DAY_MS, 7 * DAY_MS, False),
])  # fmt: skip
def test_a_first_contact_is_resolved_within_two_days_and_alone_for_seven(
    resolved_ms: int, other_ms: int, is_first: bool
) -> None:
    started = said(0, "contact_started", contact_id="K-1", topic="refund", channel="email")
    ended = said(resolved_ms, "contact_ended", contact_id="K-1", resolved=True)
    other = said(other_ms, "contact_started", contact_id="K-2", topic="refund", channel="email")
    found = [each for each in live(started, ended, other) if each.rule == "first_contact_resolution"]
    assert [(each.true_at_ms, each.subject) for each in found] == [(START_MS + 7 * DAY_MS + 1, "K-1")] * is_first


def test_a_contact_does_not_stand_in_its_own_way() -> None:
    starts = [said(ms, "contact_started", contact_id="K-1", topic="refund", channel="email") for ms in (0, 1)]
    ended = said(2, "contact_ended", contact_id="K-1", resolved=True)
    assert anchors("first_contact_resolution", *starts, ended) == ["e-0", "e-1"]


def test_a_contact_that_follows_another_is_no_first_one() -> None:
    def resolved_second(gap_ms: int) -> list[str]:
        return anchors(
            "first_contact_resolution",
            said(0, "contact_started", contact_id="K-1", order_id="O-1"),
            said(gap_ms, "contact_started", contact_id="K-2", order_id="O-1"),
            said(gap_ms + 1, "contact_ended", contact_id="K-2", resolved=True),
        )

    assert resolved_second(7 * DAY_MS) == []
    assert resolved_second(7 * DAY_MS + 1) == ["e-1"]


SHOWN = {"sku": "SKU-1", "in_stock": True}
MISSING = {"sku": "SKU-1", "store_id": "S-1"}


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ([(0, SHOWN), (2 * DAY_MS, None)], ["e-0"]),
        ([(0, SHOWN), (2 * DAY_MS + 1, None)], []),
        ([(0, SHOWN | {"store_id": "S-2"}), (1, None)], []),
        # The latest that stands and means this store.
        ([(0, SHOWN), (1, SHOWN | {"store_id": "S-1"}), (2, None)], ["e-1"]),
        ([(0, SHOWN | {"store_id": "S-1"}), (1, SHOWN), (2, None)], ["e-1"]),
        ([(0, SHOWN), (1, SHOWN | {"store_id": "S-2"}), (2, None)], ["e-0"]),
        # Taken back for all stores, for this one, for another.
        ([(0, SHOWN | {"store_id": "S-1"}), (1, SHOWN | {"in_stock": False}), (2, None)], []),
        ([(0, SHOWN | {"store_id": "S-1"}), (1, SHOWN | {"in_stock": False, "store_id": "S-1"}), (2, None)], []),
        ([(0, SHOWN | {"store_id": "S-1"}), (1, SHOWN | {"in_stock": False, "store_id": "S-2"}), (2, None)], ["e-0"]),
        # Twice contradicted is once mistaken.
        ([(0, SHOWN), (1, None), (2, None)], ["e-0"]),
    ],
)
def test_stock_is_mistaken_by_the_latest_claim_that_stands(
    told: list[tuple[int, dict[str, Any] | None]], expected: list[str]
) -> None:
    steps = [
        said(ms, "stock_shown", **claim) if claim else said(ms, "item_unavailable", **MISSING) for ms, claim in told
    ]
    assert anchors("stock_mismatch", *steps) == expected


@pytest.mark.parametrize("found_in_stock", [True, False])
def test_staff_who_look_and_find_none_contradict_the_site(found_in_stock: bool) -> None:
    looked = said(1, "stock_checked", in_stock=found_in_stock, **MISSING)
    assert anchors("stock_mismatch", said(0, "stock_shown", **SHOWN), looked) == ["e-0"] * (not found_in_stock)


def test_the_status_is_looked_up_twice_unless_news_or_the_parcel_came_between() -> None:
    looks = [said(n * HOUR_MS, "order_status_viewed", order_id="O-1") for n in (0, 2)]

    def between(type_name: str, **properties: Any) -> list[str]:
        return anchors("wismo", looks[0], said(HOUR_MS, type_name, order_id="O-1", **properties), looks[1])

    assert anchors("wismo", *looks) == ["e-0"]
    assert between("notification_sent", topic="survey") == ["e-0"]
    assert between("notification_sent", topic="delay") == between("notification_sent", topic="ready") == []
    assert between("delivered") == between("picked_up") == []
    assert anchors("wismo", looks[0], said(1, "contact_started", contact_id="K-1", topic="delivery", order_id="O-1"))
    assert not anchors("wismo", looks[0], said(1, "contact_started", contact_id="K-1", topic="refund", order_id="O-1"))


@pytest.mark.parametrize(("gap_ms", "expected"), [(14 * DAY_MS, ["e-0"]), (14 * DAY_MS + 1, [])])
def test_deliveries_fail_twice_within_fourteen_days(gap_ms: int, expected: list[str]) -> None:
    failures = [said(ms, "delivery_failed", order_id="O-1", reason="-") for ms in (0, gap_ms)]
    assert anchors("failed_deliveries", *failures) == expected
    for ending in ("delivered", "picked_up", "parcel_returned"):
        assert anchors("failed_deliveries", failures[0], said(1, ending, order_id="O-1"), failures[1]) == []


def test_three_channels_within_two_days_are_hopping() -> None:
    def asked(*ms: int) -> list[str]:
        channels = zip(ms, ("email", "whatsapp", "sms"), strict=True)
        contacts = [said(m, "contact_started", contact_id=f"K-{m}", topic="refund", channel=c) for m, c in channels]
        return anchors("channel_hopping", *contacts)

    assert asked(0, DAY_MS, 2 * DAY_MS) == ["e-0"]
    assert asked(0, DAY_MS, 2 * DAY_MS + 1) == []


def test_two_transfers_or_three_agents_are_ping_pong() -> None:
    def handled(*steps: tuple[str, str | None]) -> list[str]:
        told = [said(0, "contact_answered", contact_id="K-1", by="human", agent_id="A-1")]
        for ms, (type_name, agent_id) in enumerate(steps, 1):
            properties = {"contact_id": "K-1", **({"agent_id": agent_id} if agent_id else {})}
            told.append(said(ms, type_name, **properties))
        return anchors("ping_pong", *told)

    assert handled(("contact_transferred", None)) == []
    assert handled(("contact_transferred", None), ("contact_transferred", None)) == ["e-0"]
    assert handled(("contact_answered", "A-2"), ("contact_ended", "A-2")) == []
    assert handled(("contact_answered", "A-2"), ("contact_ended", "A-3")) == ["e-0"]


def test_a_chain_lives_as_long_as_something_joins_it() -> None:
    days = (0, 6, 12, 13)
    contacts = [said(n * DAY_MS, "contact_started", contact_id=f"K-{n}", topic="refund", channel="email") for n in days]
    assert anchors("repeat_contact", *contacts) == ["e-0"]


def test_asking_about_the_order_spoils_being_told() -> None:
    delayed = said(0, "delivery_delayed", order_id="O-1", promised_by=at(DAY_MS))
    told = said(HOUR_MS, "notification_sent", topic="delay", order_id="O-1")

    def asked(order_id: str) -> list[str]:
        question = said(1, "contact_started", contact_id="K-1", order_id=order_id, channel="email")
        return anchors("told_before_asked", delayed, question, told)

    assert asked("O-1") == []
    assert asked("O-2") == ["e-0"]


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ([], ["e-0"]),
        ([(MINUTE_MS + 30 * MINUTE_MS, "purchased")], []),
        ([(MINUTE_MS + 30 * MINUTE_MS, "order_placed")], []),
        ([(MINUTE_MS + 30 * MINUTE_MS + 1, "purchased")], ["e-0"]),
        # A third failure is the same trouble and does not put it off; after a purchase it is another.
        ([(20 * MINUTE_MS, "payment_failed"), (40 * MINUTE_MS, "purchased")], ["e-0"]),
        ([(2 * MINUTE_MS, "purchased"), (3 * MINUTE_MS, "payment_failed")], []),
        (
            [(n * MINUTE_MS, name) for n, name in ((2, "purchased"), (3, "payment_failed"), (4, "payment_failed"))],
            ["e-3"],
        ),
    ],
)
def test_two_payments_fail_and_nothing_is_bought(after: list[tuple[int, str]], expected: list[str]) -> None:
    failures = [said(ms, "payment_failed", reason="-") for ms in (0, MINUTE_MS)]
    assert anchors("checkout_trouble", *failures, *(said(ms, name) for ms, name in after)) == expected


def test_payments_fail_within_an_hour_of_each_other() -> None:
    assert anchors("checkout_trouble", *(said(ms, "payment_failed", reason="-") for ms in (0, HOUR_MS))) == ["e-0"]
    assert anchors("checkout_trouble", *(said(ms, "payment_failed", reason="-") for ms in (0, HOUR_MS + 1))) == []


@pytest.mark.parametrize(
    ("mark", "is_unheard"),
    [
        (("survey_answered", {"metric": "nps", "score": 6.0}), True),
        (("survey_answered", {"metric": "nps", "score": 7.0}), False),
        (("survey_answered", {"metric": "csat", "score": 2.0}), True),
        (("survey_answered", {"metric": "csat", "score": 3.0}), False),
        (("survey_answered", {"metric": "ces", "score": 1.0}), False),
        (("review_posted", {"rating": 2.0}), True),
        (("review_posted", {"rating": 3.0}), False),
    ],
)
def test_a_bad_mark_is_to_be_heard_within_two_days(mark: tuple[str, dict[str, Any]], is_unheard: bool) -> None:
    given = said(0, mark[0], **mark[1])
    assert anchors("unheard_feedback", given) == ["e-0"] * is_unheard
    assert anchors("unheard_feedback", given, said(2 * DAY_MS + 1, "gift_given", kind="-")) == ["e-0"] * is_unheard
    assert anchors("unheard_feedback", given, said(2 * DAY_MS, "gift_given", kind="-")) == []
    assert anchors("unheard_feedback", given, said(1, "callback_made", contact_id="K-1")) == []
    assert anchors("unheard_feedback", given, said(1, "contact_answered", contact_id="K-1", by="human")) == []
    bot = said(1, "contact_answered", contact_id="K-1", by="bot")
    assert anchors("unheard_feedback", given, bot) == ["e-0"] * is_unheard


CART = said(0, "cart_updated", sku="SKU-1", quantity=1)


def rang(ms: int) -> Told:
    """A call that nobody ever answers: it has waited too long three minutes and a millisecond later."""
    return said(ms, "contact_started", contact_id=f"K-{ms}", topic=f"T-{ms}", channel="phone")


LONG_MS = 3 * MINUTE_MS + 1


def test_a_cart_within_a_day_before_and_no_purchase_within_two_days_after_is_abandonment() -> None:
    rule = "friction_then_abandonment"
    assert anchors(rule, CART, rang(DAY_MS - LONG_MS)) == ["e-1"]
    assert anchors(rule, CART, rang(DAY_MS - LONG_MS + 1)) == []
    assert anchors(rule, rang(0), said(LONG_MS, *CART[1:2])) == ["e-0"]
    assert anchors(rule, rang(0), said(LONG_MS + 1, *CART[1:2])) == []
    for cart in ("checkout_started", "payment_failed"):
        assert anchors(rule, said(0, cart), rang(1)) == ["e-1"]
    assert anchors(rule, said(0, "product_viewed", sku="SKU-1"), rang(1)) == []
    for bought in ("purchased", "order_placed"):
        assert anchors(rule, CART, rang(1), said(1 + LONG_MS + 2 * DAY_MS, bought)) == []
        assert anchors(rule, CART, rang(1), said(1 + LONG_MS + 2 * DAY_MS + 1, bought)) == ["e-1"]
        assert anchors(rule, CART, rang(1), said(1 + LONG_MS, bought)) == ["e-1"]


def test_two_frictions_from_one_touchpoint_have_one_aftermath() -> None:
    first = said(1, "contact_started", contact_id="K-1", topic="refund", channel="phone")
    again = said(HOUR_MS, "contact_started", contact_id="K-2", topic="refund", channel="email")
    found = live(CART, first, again)
    frictions = [(each.rule, each.anchor) for each in found if each.rule in ("long_wait", "repeat_contact")]
    assert frictions == [("long_wait", "support/e-1"), ("repeat_contact", "support/e-1")]
    (abandoned,) = [each for each in found if each.rule == "friction_then_abandonment"]
    assert abandoned.true_at_ms == START_MS + 1 + LONG_MS + 2 * DAY_MS + 1
    visits = [said(ms, "visit_started", store_id="S-1") for ms in (30 * MINUTE_MS, 3 * DAY_MS)]
    assert anchors("delight_opportunity", first, visits[0], again, visits[1]) == ["e-0"]


def test_an_opportunity_is_the_first_visit_within_seven_days_without_a_gift() -> None:
    def came(ms: int, *between: Told) -> list[str]:
        return anchors("delight_opportunity", rang(0), *between, said(ms, "page_viewed", url="/"))

    assert came(LONG_MS) == []
    assert came(LONG_MS + 1) == came(LONG_MS + 7 * DAY_MS) == ["e-0"]
    assert came(LONG_MS + 7 * DAY_MS + 1) == []
    assert came(DAY_MS, said(LONG_MS + 1, "gift_given", kind="-")) == []
    assert came(DAY_MS, said(LONG_MS, "gift_given", kind="-")) == ["e-0"]


def test_opportunities_of_one_moment_are_taken_in_the_order_of_their_anchors() -> None:
    silent = said(2, "callback_promised", contact_id="K-9", due_at=at(MINUTE_MS))
    # The later touchpoint became a friction first.
    assert anchors("delight_opportunity", rang(0), silent, said(HOUR_MS, "page_viewed", url="/")) == ["e-0"]


@pytest.mark.parametrize("ending", ["parcel_returned", "returned"])
def test_what_goes_back_is_owed_no_more(ending: str) -> None:
    ordered = said(0, "order_placed", order_id="O-1", promised_by=at(3 * DAY_MS))
    back = said(1, ending, order_id="O-1", reason="-")
    assert live(ordered, back) == []


def test_a_promise_that_had_passed_when_it_was_made_is_broken_at_once() -> None:
    for due_ms, broken_ms in ((-HOUR_MS, 0), (-1, 0), (0, 1)):
        (broken,) = live(said(0, "refund_promised", order_id="O-1", due_at=at(due_ms)))
        assert (broken.rule, broken.true_at_ms) == ("late_refund", START_MS + broken_ms)


def test_how_many_parcels_there_are_may_be_said_at_any_time() -> None:
    for saying in ("order_placed", "dispatched", "delivered"):
        told = [
            said(0, "order_placed", order_id="O-1", promised_by=at(HOUR_MS)),
            said(1, "dispatched", order_id="O-1"),
            said(2, "delivered", order_id="O-1", parcel_id="P-1"),
        ]
        told = [(ms, name, {**more, **({"parcels": 2} if name == saying else {})}) for ms, name, more in told]
        assert anchors("broken_promise", *told) == ["e-0"]
        assert anchors("broken_promise", *told, said(3, "delivered", order_id="O-1", parcel_id="P-2")) == []


def test_a_complaint_is_to_be_settled_within_two_days() -> None:
    opened = said(0, "complaint_opened", case_id="Q-1", topic="-")
    assert live(opened, said(2 * DAY_MS, "complaint_resolved", case_id="Q-1")) == []
    (found,) = live(opened, said(2 * DAY_MS + 1, "complaint_resolved", case_id="Q-1"))
    assert (found.rule, found.true_at_ms) == ("unresolved_complaint", START_MS + 2 * DAY_MS + 1)
