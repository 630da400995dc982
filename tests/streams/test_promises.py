"""Promises and the journeys that they hold open, at the boundaries."""

import pytest

from streams.facts import FactBook
from streams.promises import FOREVER_MS
from streams.stitching import Stitcher
from streams.touch import Touch
from tests.streams.lives import to_fact
from tests.streams.scenes import GAP_HOURS, MAX_GAP_HOURS, at, policy, touch


def hold(hours: float, until: float, sku: str = "K-1") -> Touch:
    return touch("hold_created", hours, f"h{hours}", details={"sku": sku, "expires_at": at(until)})


def order(hours: float, due: float, order_id: str | None = "O-1") -> Touch:
    return touch("order_placed", hours, f"o{hours}", order_id=order_id, details={"promised_by": at(due)})


def delivered(hours: float, order_id: str | None = "O-1", plus_ms: int = 0) -> Touch:
    return touch("delivered", hours, f"d{hours}", order_id=order_id, details={}, plus_ms=plus_ms)


def seen(hours: float, plus_ms: int = 0) -> Touch:
    return touch("page_viewed", hours, f"p{hours}", plus_ms=plus_ms)


def stitched(*touches: Touch, hold_open: bool = True) -> Stitcher:
    stitcher = Stitcher(policy(0, hold_open).stitching)
    for one in touches:
        stitcher.feed(one)
    return stitcher


@pytest.mark.parametrize(
    ("touches", "journeys"),
    [
        ((seen(0), seen(GAP_HOURS)), 1),
        ((seen(0), seen(GAP_HOURS, 1)), 2),
        ((order(0, 1), seen(MAX_GAP_HOURS)), 1),
        ((order(0, 1), seen(MAX_GAP_HOURS, 1)), 2),
        ((order(0, 1), delivered(MAX_GAP_HOURS)), 1),
        ((order(0, 1), delivered(2), seen(2 + GAP_HOURS, 1)), 2),
        ((hold(0, 12), seen(12)), 1),
        ((hold(0, 12), seen(12, 1)), 2),
    ],
    ids=["gap", "past gap", "owed", "past max gap", "settled by the next", "settled", "held", "lapsed"],
)
def test_a_journey_ends_past_its_gap_unless_something_is_owed(touches: tuple[Touch, ...], journeys: int) -> None:
    assert len(stitched(*touches).journeys) == journeys


def test_with_holding_off_the_gap_alone_decides_and_promises_are_still_settled() -> None:
    stitcher = stitched(order(0, 20), delivered(GAP_HOURS, plus_ms=1), hold_open=False)
    assert len(stitcher.journeys) == 2
    assert [promise.status(at(30)) for promise in stitcher.book.promises] == ["kept"]


@pytest.mark.parametrize(
    ("touches", "closes_hours"),
    [((seen(0),), GAP_HOURS), ((order(0, 1),), MAX_GAP_HOURS), ((hold(0, 12),), 12), ((hold(0, 2),), GAP_HOURS),
     ((hold(0, 99),), MAX_GAP_HOURS), ((order(0, 9), delivered(1)), 1 + GAP_HOURS)],
    ids=["nothing owed", "owed", "held", "held shorter than the gap", "held longer than the greatest", "settled"],
)  # fmt: skip
def test_a_journey_is_open_as_long_as_it_could_go_on(touches: tuple[Touch, ...], closes_hours: float) -> None:
    stitcher = stitched(*touches)
    assert stitcher.journeys[-1].closes_ms(stitcher.rules) == at(closes_hours)


def test_a_hold_on_what_was_held_before_is_a_new_one_once_the_first_has_lapsed() -> None:
    assert [promise.moves for promise in stitched(hold(0, 1), hold(1, 3)).book.promises] == [
        [(at(0), at(1)), (at(1), at(3))]
    ]
    again = stitched(hold(0, 1), hold(2, 3), touch("hold_collected", 3, "c", details={"sku": "K-1"})).book.promises
    assert [promise.settled_ms for promise in again] == [None, at(3)]


def test_a_promise_does_not_outlive_the_journey_that_it_held_open() -> None:
    stitcher = stitched(order(0, 1), order(MAX_GAP_HOURS + 1, 30), delivered(MAX_GAP_HOURS + 2))
    assert [promise.status(at(50)) for promise in stitcher.book.promises] == ["broken", "kept"]


def test_a_touchpoint_that_names_no_order_concerns_the_oldest_promise() -> None:
    promises = stitched(order(0, 5, "O-1"), order(1, 5, "O-2"), delivered(2, None)).book.promises
    assert [promise.settled_ms for promise in promises] == [at(2), None]


def test_two_orders_without_a_number_are_two_promises() -> None:
    assert len(stitched(order(0, 5, None), order(1, 5, None)).book.promises) == 2


def test_a_promise_that_is_moved_into_the_past_is_broken_from_then_on() -> None:
    moved = touch("delivery_delayed", 5, "m", order_id="O-1", details={"promised_by": at(3)})
    [promise] = stitched(order(0, 10), moved).book.promises
    assert promise.broken() == (at(5), at(3))


def parcel(hours: float, parcel_id: str | None, parcels: int | None = 2, kind: str = "delivered") -> Touch:
    details = {"parcel_id": parcel_id, "parcels": parcels}
    return touch(kind, hours, f"{kind}{hours}", order_id="O-1", details={k: v for k, v in details.items() if v})


@pytest.mark.parametrize(
    ("touches", "settled_hours"),
    [
        ((parcel(2, "a"),), None),
        ((parcel(2, "a"), parcel(3, "b")), 3),
        ((parcel(2, "a"), parcel(3, "a")), None),
        ((parcel(1, "a", kind="dispatched"), parcel(2, "a", None), parcel(3, "b", None)), 3),
        ((parcel(2, "a"), parcel(3, "b", 3), parcel(4, "c", 2)), 4),
        ((parcel(2, "a", None), parcel(3, "b")), 2),
        ((parcel(2, "a"), delivered(3)), 3),
    ],
    ids=["one of two", "both", "one twice", "said before", "one more", "nobody said", "no parcel named"],
)
def test_an_order_in_parcels_is_delivered_with_the_last_of_them(
    touches: tuple[Touch, ...], settled_hours: float | None
) -> None:
    [promise] = stitched(order(0, 9), *touches).book.promises
    assert promise.settled_ms == (None if settled_hours is None else at(settled_hours))


@pytest.mark.parametrize(
    ("touches", "responsible"),
    [
        ((), "warehouse"),
        ((parcel(5, None, None, "dispatched"),), "carrier"),
        ((parcel(6, None, None, "dispatched"),), "warehouse"),
        ((touch("out_for_delivery", 1, "x", order_id="O-2", details={}),), "warehouse"),
        ((delivered(5),), ""),
    ],
    ids=["nothing sent", "sent in time", "sent too late", "another order", "kept"],
)
def test_who_was_late_is_who_had_it_when_its_time_passed(touches: tuple[Touch, ...], responsible: str) -> None:
    [promise] = stitched(order(0, 5), *touches).book.promises
    assert promise.responsible(at(9)) == responsible


def test_a_complaint_is_to_be_settled_within_two_days_and_holds_its_journey_open() -> None:
    complaint = touch("complaint_opened", 0, "c", case_id="C-1", details={"topic": "manners"})
    stitcher = stitched(complaint, seen(MAX_GAP_HOURS))
    [promise] = stitcher.book.promises
    assert (promise.subject, promise.latest_promised_ms, len(stitcher.journeys)) == ("C-1", at(48), 1)
    assert [promise.status(at(48, plus)) for plus in (0, 1)] == ["open", "broken"]


def wish(hours: float, sku: str = "P", store_id: str | None = None) -> Touch:
    details = {"sku": sku} | ({"store_id": store_id} if store_id else {})
    return touch("back_in_stock_requested", hours, f"w{hours}{sku}", details=details)


def told(hours: float, sku: str | None = "P", topic: str = "restock") -> Touch:
    details = {"topic": topic} | ({"sku": sku} if sku else {})
    return touch("notification_sent", hours, f"n{hours}", details=details)


def restocked(hours: float, sku: str = "P", store_id: str | None = None, plus_ms: int = 0) -> Touch:
    details = {"sku": sku} | ({"store_id": store_id} if store_id else {})
    return touch("restocked", hours, f"r{hours}", plus_ms, source="store", details=details)


@pytest.mark.parametrize(
    ("asked", "fact", "due_ms"),
    [
        (wish(1), restocked(1), FOREVER_MS),
        (wish(1), restocked(1, plus_ms=1), at(25, 1)),
        (wish(1, store_id="S"), restocked(2, store_id="S"), at(26)),
        (wish(1, store_id="S"), restocked(2, store_id="T"), FOREVER_MS),
        (wish(1, store_id="S"), restocked(2), at(26)),
        (wish(1), restocked(2, store_id="T"), at(26)),
        (wish(1), restocked(2, sku="Q"), FOREVER_MS),
        (wish(1, sku="P@S"), restocked(2, sku="P", store_id="S"), FOREVER_MS),
    ],
    ids=["before", "after", "its store", "another store", "anywhere", "no store wished", "another thing", "odd name"],
)
def test_the_clock_of_a_wish_starts_with_the_restock_that_answers_it(asked: Touch, fact: Touch, due_ms: int) -> None:
    book = FactBook()
    book.feed(to_fact(fact))
    stitcher = stitched(asked)
    stitcher.book.apply_restocks(book, at(9))
    [promise] = stitcher.book.promises
    assert promise.latest_promised_ms == due_ms


def test_a_wish_holds_no_journey_open_and_outlives_it() -> None:
    stitcher = stitched(wish(0), seen(GAP_HOURS, 1), told(GAP_HOURS + 1))
    assert len(stitcher.journeys) == 2
    assert [promise.settled_ms for promise in stitcher.book.promises] == [at(GAP_HOURS + 1)]


@pytest.mark.parametrize(
    ("notification", "settled"),
    [(told(3, "Q"), [None, 3]), (told(3, None), [3, None]), (told(3, "P", "hold"), [None, None]),
     (told(3, "R"), [None, None])],
    ids=["named", "the oldest", "of something else", "another thing"],
)  # fmt: skip
def test_a_message_settles_the_wish_that_it_means(notification: Touch, settled: list[float | None]) -> None:
    promises = stitched(wish(0), wish(1, "Q"), notification).book.promises
    assert [promise.settled_ms for promise in promises] == [None if hours is None else at(hours) for hours in settled]


def test_wishing_again_changes_nothing_until_the_wish_is_settled() -> None:
    promises = stitched(wish(0), wish(1), told(2), wish(3)).book.promises
    assert [promise.requested_ms for promise in promises] == [at(0), at(3)]
