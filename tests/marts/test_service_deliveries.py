"""Orders and whether they came on time: what a naive query gets wrong."""

from typing import Any

import pytest

from sinks.writer import ClickHouseWriter
from tests.marts.conftest import Load
from tests.marts.loading import say

pytestmark = pytest.mark.integration
RANGE = "since = '2026-09-01', until = '2026-09-20'"


def day(number: float) -> str:
    """Noon of a day in September, or that part of a day later."""
    whole, rest = divmod(number, 1)
    return f"2026-09-{int(whole):02d}T{12 + int(rest * 10):02d}:00:00.000Z"


def told(type: str, order: str, on: float, **properties: Any) -> dict[str, Any]:
    """A touchpoint of an order; each order has a customer of its own."""
    for name in ("promised_by",):
        if name in properties:
            properties[name] = day(properties[name])
    source = "web" if type.startswith("order") else "delivery"
    return say(f"C-{order}", type, day(on), source=source, order_id=order, properties=properties)


def placed(order: str, promised: float | None = None, on: float = 1, amount: float = 100.0) -> dict[str, Any]:
    named = {} if promised is None else {"promised_by": promised}
    return told("order_placed", order, on, amount=amount, currency="ILS", **named)


SPLIT: list[dict[str, Any]] = [
    # Two parcels, the second a day late.
    placed("O-1", 5),
    told("dispatched", "O-1", 3, parcel_id="P-1", parcels=2, carrier="swift"),
    told("dispatched", "O-1", 4, parcel_id="P-2", parcels=2, carrier="swift"),
    told("delivered", "O-1", 5, parcel_id="P-1", parcels=2),
    told("delivered", "O-1", 6, parcel_id="P-2", parcels=2),
    # The same parcel twice is one parcel.
    placed("O-2", 5),
    told("delivered", "O-2", 4, parcel_id="P-3", parcels=2),
    told("delivered", "O-2", 4.1, parcel_id="P-3", parcels=2),
    # Only later does anybody say that there is a second one.
    placed("O-3", 5),
    told("delivered", "O-3", 4, parcel_id="P-5"),
    told("delivered", "O-3", 7, parcel_id="P-6", parcels=2),
    # A delivery that names no parcel brings all the rest.
    placed("O-4", 5),
    told("dispatched", "O-4", 2, parcel_id="P-7", parcels=3),
    told("delivered", "O-4", 2.1, parcel_id="P-7"),
    told("delivered", "O-4", 3),
]


def test_a_split_order_is_delivered_when_its_last_parcel_came(history: Load) -> None:
    analyst = history(SPLIT, until_ms=1_792_000_000_000)
    rows = analyst.query(
        "SELECT order_id, toDayOfMonth(dispatched_at), toDayOfMonth(delivered_at), parcels, parcels_delivered, "
        "parcels_on_time_first, on_time_first, in_full, carrier FROM analytics.orders ORDER BY order_id"
    )
    assert rows == [
        ("O-1", 3, 6, 2, 2, 1, False, True, "swift"),
        ("O-2", None, None, 2, 1, 1, False, False, ""),
        ("O-3", None, 7, 2, 2, 1, False, True, ""),
        ("O-4", 2, 3, 3, 3, 3, True, True, ""),
    ]


LIVES: list[dict[str, Any]] = [
    placed("O-1", 5),
    told("delivered", "O-1", 5),
    # Moved, and then in time for the new promise only.
    placed("O-2", 5),
    told("delivery_delayed", "O-2", 4, promised_by=8),
    told("delivered", "O-2", 7),
    # Promised and never brought; owed still, but moved past the end of the range; promised past it.
    placed("O-3", 5),
    placed("O-4", 6),
    told("delivery_delayed", "O-4", 5, promised_by=25),
    placed("O-5", 22),
    # Given back before it was due, and after.
    placed("O-6", 8),
    told("parcel_returned", "O-6", 7),
    placed("O-7", 8),
    told("parcel_returned", "O-7", 9),
    # No promise; fetched.
    placed("O-8"),
    told("picked_up", "O-8", 2),
    # Came after the end of the range; its promise had long passed.
    placed("O-9", 9),
    told("delivered", "O-9", 21),
]


def test_what_is_not_decided_is_neither_on_time_nor_late(history: Load) -> None:
    analyst = history(LIVES)
    rows = analyst.query(
        "SELECT order_id, toDayOfMonth(first_promised_at), toDayOfMonth(latest_promised_at), "
        "toDayOfMonth(delivered_at), on_time_first, on_time_latest, in_full FROM analytics.orders ORDER BY order_id"
    )
    # Time has come to the 21st.
    assert rows == [
        ("O-1", 5, 5, 5, True, True, True),
        ("O-2", 5, 8, 7, False, True, True),
        ("O-3", 5, 5, None, False, False, False),
        ("O-4", 6, 25, None, None, None, None),
        ("O-5", 22, 22, None, None, None, None),
        ("O-6", 8, 8, None, None, None, None),
        ("O-7", 8, 8, None, False, False, False),
        ("O-8", None, None, 2, None, None, True),
        ("O-9", 9, 9, 21, False, False, True),
    ]


def test_on_time_counts_what_was_due_and_not_only_what_came(history: Load) -> None:
    analyst = history(LIVES)
    [row] = analyst.query(f"SELECT * EXCEPT (period, carrier) FROM analytics.on_time({RANGE}, period = 'month')")
    # Due: O-1, 2, 3, 4, 7 and 9. Against the first promise only O-1 was in time; against the latest O-4 is open yet.
    sixth = pytest.approx(1 / 6)
    assert row == (6, 1, 1, sixth, 1, sixth, 2, 0.4, 2, 0.4)
    # An earlier end knows less: on the 6th O-2 had not come, and its promise had been moved.
    [row] = early(analyst, "2026-09-06")
    assert row == (3, 1, 1, 1, 1)


def early(analyst: ClickHouseWriter, until: str) -> list[tuple[Any, ...]]:
    return analyst.query(
        "SELECT orders, undecided_orders, in_full_orders_first, on_time_orders_latest, in_full_orders_latest "
        f"FROM analytics.on_time(since = '2026-09-01', until = '{until}', period = 'month')"
    )


def test_a_split_order_is_on_time_but_not_in_full(history: Load) -> None:
    analyst = history(SPLIT, until_ms=1_792_000_000_000)
    rows = analyst.query(
        "SELECT carrier, on_time_orders_first, otd_first_share, in_full_orders_first, otif_first_share, "
        "otif_latest_share "
        f"FROM analytics.on_time({RANGE}, period = 'week') ORDER BY carrier"
    )
    third = pytest.approx(1 / 3)
    assert rows == [("", 3, 1.0, 1, third, third), ("swift", 1, 1.0, 0, 0.0, 0.0)]


def test_an_order_is_one_row_with_what_was_asked_about_it(history: Load) -> None:
    about = {"source": "support", "order_id": "O-1", "channel": "phone"}
    analyst = history(
        [
            placed("O-1", on=1, amount=80.0),
            placed("O-1", on=2, amount=95.5),
            told("delivery_failed", "O-1", 3, reason="nobody_home"),
            told("delivery_failed", "O-1", 4, reason="nobody_home"),
            told("order_status_viewed", "O-1", 5),
            say("C-O-1", "contact_started", day(6), properties={"contact_id": "K-1", "topic": "delivery"}, **about),
            say("C-O-1", "contact_started", day(7), properties={"contact_id": "K-2", "topic": "billing"}, **about),
            say("C-O-1", "returned", day(8), source="store", order_id="O-1", properties={"reason": "faulty"}),
            # Asked about, but never seen; and a purchase at the till.
            told("order_status_viewed", "O-2", 5),
            say("C-3", "purchased", day(5), properties={"receipt_id": "R-1", "amount": 5.0, "currency": "ILS"}),
        ]
    )
    rows = analyst.query(
        "SELECT order_id, toDayOfMonth(placed_at), amount, currency, failed_attempts, wismo_views, wismo_contacts, "
        "returned, parcels_on_time_first, in_full FROM analytics.orders"
    )
    assert rows == [("O-1", 1, 95.5, "ILS", 2, 1, 1, True, None, None)]


def test_a_delivery_that_names_no_order_is_known_from_the_promise(history: Load) -> None:
    delivered = say("C-O-1", "delivered", day(4), source="delivery")
    analyst = history([placed("O-1", 5), delivered])
    rows = analyst.query("SELECT toDayOfMonth(delivered_at), on_time_first, parcels_delivered FROM analytics.orders")
    assert rows == [(4, True, 1)]
