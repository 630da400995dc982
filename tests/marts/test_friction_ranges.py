"""A range of frictions is what its touchpoints, alerts and journeys say in their newest versions."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from deploy.local.stack import LocalStack
from deploy.services import clickhouse_client_options
from schemas.settings import Settings
from sinks.writer import ClickHouseWriter
from tests.marts.conftest import Load
from tests.marts.test_friction import looks, moment, ms, ordered, waits

pytestmark = pytest.mark.integration


@pytest.fixture
def administrator(server: LocalStack) -> Iterator[ClickHouseWriter]:
    with closing(ClickHouseWriter(clickhouse_client_options(server.clickhouse_url, Settings()))) as writer:
        yield writer


def test_a_touchpoint_that_was_retracted_ended_nothing(history: Load, administrator: ClickHouseWriter) -> None:
    analyst = history(waits("C-1"), until_ms=ms(1))
    ranged = f"analytics.frictions_between(since='{moment(-1)}', until='{moment(3)}')"
    ask = [f"SELECT ended_by FROM {view} WHERE rule = 'long_wait'" for view in ("analytics.frictions", ranged)]
    assert [analyst.query(each) for each in ask] == [[("touchpoint",)]] * 2
    administrator.query(
        "INSERT INTO journeys.touchpoints SELECT * REPLACE (_version + 1 AS _version, 1 AS _is_deleted) "
        "FROM journeys.touchpoints WHERE type = 'service_started'"
    )
    assert [analyst.query(each) for each in ask] == [[("time",)]] * 2


def test_what_newer_versions_put_elsewhere_is_in_no_range(history: Load, administrator: ClickHouseWriter) -> None:
    analyst = history(waits("C-1"), until_ms=ms(1))
    for table, moments in (("alerts", ("opened_at",)), ("journeys", ("started_at", "ended_at"))):
        moved = ", ".join(f"{each} - INTERVAL 90 DAY AS {each}" for each in moments)
        administrator.query(
            f"INSERT INTO journeys.{table} SELECT * REPLACE (_version + 1 AS _version, {moved}) FROM journeys.{table}"
        )
    around = f"since='{moment(-1)}', until='{moment(3)}'"
    asked = (
        f"analytics.frictions_between({around})",
        f"analytics.episode_places({around}, kind='friction')",
        f"analytics.friction_by({around}, dimension='rule')",
        f"analytics.journey_types({around})",
    )
    assert [analyst.query(f"SELECT count() FROM {each}") for each in asked] == [[(0,)]] * len(asked)


def test_a_journey_that_spans_the_range_counts_if_it_has_a_touchpoint_in_it(history: Load) -> None:
    spanning = [
        looks(customer, days) for customer, days in (("C-2", 0), ("C-2", 5), ("C-2", 10), ("C-3", 0), ("C-3", 10))
    ]
    analyst = history(ordered(waits("C-1", 5), spanning), until_ms=ms(11))
    moments = f"since='{moment(4)}', until='{moment(6)}'"
    found = analyst.query(f"SELECT value, journeys FROM analytics.friction_by({moments}, dimension='rule')")
    assert found == [("long_wait", 2)]
