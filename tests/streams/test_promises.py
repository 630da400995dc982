"""Promises and the journeys that they hold open, at the boundaries."""

import pytest

from streams.stitching import Stitcher
from streams.touch import Touch
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
