"""What is loaded is what a worker would have written."""

from typing import Any

import pytest

from sinks.writer import ClickHouseWriter
from tests.marts.conftest import SHOP_CUSTOMERS, SHOP_TOUCHPOINTS, Load
from tests.marts.loading import say

pytestmark = pytest.mark.integration


def test_the_shop_is_there_with_journeys_promises_and_friction(shop: ClickHouseWriter) -> None:
    [(touchpoints, customers, orphans)] = shop.query(
        "SELECT count(), uniqExact(customer_id), countIf(journey_id = toUUID('00000000-0000-0000-0000-000000000000')) "
        "FROM analytics.touchpoints"
    )
    assert (touchpoints, orphans) == (SHOP_TOUCHPOINTS, 0) and customers <= SHOP_CUSTOMERS
    [(told,)] = shop.query("SELECT sum(touchpoints) FROM analytics.journeys")
    assert told == SHOP_TOUCHPOINTS
    [(rules,)] = shop.query("SELECT uniqExact(rule) FROM analytics.alerts")
    assert rules >= 15


def test_a_history_of_ones_own(history: Load) -> None:
    at_till: dict[str, Any] = {"source": "store", "store_id": "S-1", "properties": {"queue": "till"}}
    analyst = history(
        [
            say("C-1", "queue_joined", "2026-09-01T10:00:00Z", **at_till),
            say("C-1", "service_started", "2026-09-01T10:05:00Z", **at_till),
        ]
    )
    assert analyst.query("SELECT touchpoints, queue_wait_seconds FROM analytics.journeys") == [(2, 300.0)]
