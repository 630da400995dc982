"""What is asked of a range is what all time says of it, and what a lean view says is what touchpoints say."""

import pytest

from sinks.writer import ClickHouseWriter

pytestmark = pytest.mark.integration
RANGES = [
    ("2026-09-01", "2026-10-26"),
    ("2026-09-20", "2026-09-21"),
    ("2026-10-10", "2026-10-31"),
    ("2030-01-01", "2030-02-01"),
]


@pytest.mark.parametrize(("since", "until"), RANGES)
@pytest.mark.parametrize(("name", "moment"), [("orders", "placed_at"), ("complaints", "opened_at")])
def test_a_range_is_a_part_of_all_time(shop: ClickHouseWriter, name: str, moment: str, since: str, until: str) -> None:
    arguments = f"since = '{since}', until = '{until}'"
    found = shop.query(f"SELECT * FROM analytics.{name}_between({arguments}) ORDER BY ALL")
    condition = f"{moment} >= '{since}' AND {moment} < '{until}'"
    assert found == shop.query(f"SELECT * FROM analytics.{name} WHERE {condition} ORDER BY ALL")
    assert bool(found) == (since < "2030") or since == "2026-09-20"


def test_contacts_in_turn_over_all_time_are_the_contacts(shop: ClickHouseWriter) -> None:
    columns = (
        "customer_id, contact_id, topic, channel, started_at, wait_seconds, previous_contact_id, seconds_since_previous"
    )
    found = shop.query(
        f"SELECT {columns} FROM analytics.contacts_in_turn(since = '2000-01-01', until = '2100-01-01') ORDER BY ALL"
    )
    assert found == shop.query(f"SELECT {columns} FROM analytics.contacts ORDER BY ALL")
    assert any(row[-1] is not None for row in found)


def test_contacts_in_turn_does_not_see_before_its_range(shop: ClickHouseWriter) -> None:
    [(began,)] = shop.query("SELECT max(started_at) FROM analytics.contacts WHERE previous_contact_id != ''")
    [(all_time,)] = shop.query(
        f"SELECT count() FROM analytics.contacts WHERE started_at = '{began:%Y-%m-%d %H:%M:%S.%f}'"
    )
    assert all_time
    assert not shop.query(
        f"SELECT * FROM analytics.contacts_in_turn(since = '{began:%Y-%m-%d %H:%M:%S.%f}', until = '2100-01-01') "
        f"WHERE started_at = '{began:%Y-%m-%d %H:%M:%S.%f}' AND previous_contact_id != ''"
    )


def test_customers_are_what_their_touchpoints_say(shop: ClickHouseWriter) -> None:
    found = shop.query(
        "SELECT customer_id, first_seen_at, last_seen_at, touchpoints, orders FROM analytics.customers ORDER BY 1"
    )
    assert found == shop.query(
        "SELECT customer_id, min(occurred_at), max(occurred_at), count(), "
        "countIf(type IN ('order_placed', 'purchased')) FROM analytics.touchpoints GROUP BY customer_id ORDER BY 1"
    )


def test_scores_of_customers_are_those_of_customer_scores(shop: ClickHouseWriter) -> None:
    rows = shop.query(
        "SELECT count(), countIf(abs(c.experience - s.experience) < 1e-6 AND abs(c.effort - s.effort) < 1e-6) "
        "FROM analytics.customers AS c INNER JOIN analytics.customer_scores AS s ON c.customer_id = s.customer_id"
    )
    assert rows[0][0] == rows[0][1] > 0


@pytest.mark.parametrize("period_days", [7, 21])
def test_retention_is_counted_from_the_first_order_ever(shop: ClickHouseWriter, period_days: int) -> None:
    found = shop.query(
        "SELECT cohort_week, any(customers) FROM analytics.retention("
        f"since = '2026-09-14', until = '2026-10-26', period_days = {period_days}) GROUP BY cohort_week ORDER BY 1"
    )
    assert found == shop.query(
        "SELECT toMonday(first) AS week, count() FROM (SELECT customer_id, min(occurred_at) AS first "
        "FROM analytics.touchpoints WHERE type IN ('order_placed', 'purchased') GROUP BY customer_id) "
        "WHERE week >= '2026-09-14' AND first < '2026-10-26' GROUP BY week ORDER BY week"
    )


STEPS = ["['product_viewed', 'order_placed']", "['product_viewed', 'order_placed', 'product_viewed']", "['searched']"]


@pytest.mark.parametrize("steps", STEPS)
def test_a_funnel_begins_with_the_journeys_that_hold_its_first_step(shop: ClickHouseWriter, steps: str) -> None:
    month = "since = '2026-09-01', until = '2026-10-01'"
    arguments = f"{month}, steps = {steps}, window_seconds = 86400"
    [(reached, customers)] = shop.query(f"SELECT reached, customers FROM analytics.funnel({arguments}) WHERE step = 1")
    assert [(reached, customers)] == shop.query(
        f"SELECT count(), uniqExact(customer_id) FROM analytics.journey_paths({month}) WHERE has(types, {steps}[1])"
    )


@pytest.mark.parametrize(("since", "until"), RANGES)
def test_types_of_journeys_are_those_of_their_paths(shop: ClickHouseWriter, since: str, until: str) -> None:
    arguments = f"since = '{since}', until = '{until}'"
    found = shop.query(
        f"SELECT customer_id, journey_id, type, touchpoints FROM analytics.journey_types({arguments}) ORDER BY ALL"
    )
    assert found == shop.query(
        "SELECT customer_id, journey_id, toString(arrayJoin(types)) AS type, count() "
        f"FROM analytics.journey_paths({arguments}) GROUP BY ALL ORDER BY ALL"
    )
    assert bool(found) == (since < "2030")


@pytest.mark.parametrize(("since", "until"), RANGES)
def test_frictions_of_a_range_end_as_those_of_all_time(shop: ClickHouseWriter, since: str, until: str) -> None:
    found = shop.query(f"SELECT * FROM analytics.frictions_between(since = '{since}', until = '{until}') ORDER BY ALL")
    condition = f"opened_at >= '{since}' AND opened_at < '{until}'"
    assert found == shop.query(f"SELECT * FROM analytics.frictions WHERE {condition} ORDER BY ALL")


@pytest.mark.parametrize(("since", "until"), [*RANGES, ("2026-09-20 08:00:00", "2026-09-20 09:00:00")])
def test_friction_is_measured_by_the_journeys_with_a_touchpoint_in_the_range(
    shop: ClickHouseWriter, since: str, until: str
) -> None:
    [(journeys,)] = shop.query(
        "SELECT uniqExactIf(journey_id, toUInt128(journey_id) != 0) FROM analytics.touchpoints "
        f"WHERE occurred_at >= '{since}' AND occurred_at < '{until}'"
    )
    found = shop.query(
        f"SELECT DISTINCT journeys FROM analytics.friction_by(since = '{since}', until = '{until}', dimension = 'rule')"
    )
    assert found in ([], [(journeys,)])
    assert found or since in ("2030-01-01", "2026-09-20 08:00:00")
