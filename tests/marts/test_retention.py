"""Months go to another disk, and then away, when somebody says so; what is asked of the rest goes on."""

import re
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from deploy.local.stack import LocalStack
from deploy.services import clickhouse_client_options
from schemas.settings import Settings
from sinks.migrate import migrate
from sinks.writer import ClickHouseWriter
from tests.marts.loading import load, say

pytestmark = pytest.mark.integration
SAMPLES = Path(__file__).parents[2] / "deploy" / "clickhouse"
STORAGE, RETENTION = (SAMPLES / name for name in ("storage.xml", "retention.sql"))
NOW = datetime.now(UTC)
RECENT, OLD, ANCIENT = (f"{NOW - timedelta(days=days):%Y-%m-%dT12:00:00Z}" for days in (40, 3 * 365, 9 * 365))
DISKS = "SELECT disk_name, sum(rows) FROM system.parts WHERE active AND table = 'touchpoints' GROUP BY 1 ORDER BY 1"
ORDER: dict[str, Any] = {"order_id": "O-1", "properties": {"amount": 10.0, "currency": "ILS"}}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """A server with the disks of the sample."""
    directory = tmp_path_factory.mktemp("tiered")
    cold = directory / "cold"
    cold.mkdir()
    extra = directory / "clickhouse" / "config.d"
    extra.mkdir(parents=True)
    (extra / "storage.xml").write_text(STORAGE.read_text().replace("/mnt/journeys-cold/", f"{cold}/"))
    with LocalStack(directory, run_kafka=False) as running:
        migrate(clickhouse_client_options(running.clickhouse_url, Settings()))
        yield running


@pytest.fixture
def administrator(server: LocalStack) -> Iterator[ClickHouseWriter]:
    with closing(ClickHouseWriter(clickhouse_client_options(server.clickhouse_url, Settings()))) as writer:
        yield writer


def statements(text: str) -> list[str]:
    lines = [line for line in text.splitlines() if not line.startswith("--")]
    return [each.strip() for each in "\n".join(lines).split(";") if each.strip()]


def commented(text: str) -> str:
    """The statement of the sample that deletes, which stands in a comment."""
    return re.sub(r"^-- ?", "", text[text.index("-- ALTER TABLE") :].partition(";")[0], flags=re.M)


def wait_for_disks(administrator: ClickHouseWriter, expected: list[tuple[str, int]]) -> None:
    deadline = time.monotonic() + 60
    while administrator.query(DISKS) != expected and time.monotonic() < deadline:
        time.sleep(0.05)
    assert administrator.query(DISKS) == expected


def test_months_move_and_go_when_somebody_says_so(server: LocalStack, administrator: ClickHouseWriter) -> None:
    history = [
        say("C-1", "order_placed", ANCIENT, **ORDER),
        say(
            "C-1", "purchased", OLD, source="store", properties={"receipt_id": "R-1", "amount": 5.0, "currency": "ILS"}
        ),
        say(
            "C-2", "purchased", OLD, source="store", properties={"receipt_id": "R-2", "amount": 5.0, "currency": "ILS"}
        ),
        say("C-1", "searched", RECENT, properties={"query": "sofa", "results": 3}),
    ]
    load(administrator, history)
    assert administrator.query(DISKS) == [("default", 4)]
    [(definition,)] = administrator.query("SHOW CREATE TABLE journeys.touchpoints")
    assert "TTL" not in definition

    for statement in statements(RETENTION.read_text()):
        administrator.query(statement)
    wait_for_disks(administrator, [("default", 1), ("journeys_cold", 3)])
    with closing(ClickHouseWriter(clickhouse_client_options(server.analyst_url, Settings()))) as analyst:
        count = "SELECT count(), uniqExact(customer_id) FROM analytics.touchpoints"
        assert analyst.query(count) == [(4, 2)]
        assert analyst.query("SELECT order_id FROM analytics.orders") == [("O-1",)]

        # An erasure rewrites files where they lie.
        administrator.query(
            "ALTER TABLE journeys.touchpoints DELETE WHERE customer_id = 'C-2' SETTINGS mutations_sync = 2"
        )
        wait_for_disks(administrator, [("default", 1), ("journeys_cold", 2)])

        administrator.query(commented(RETENTION.read_text()))
        administrator.query("OPTIMIZE TABLE journeys.touchpoints FINAL")
        wait_for_disks(administrator, [("default", 1), ("journeys_cold", 1)])
        assert analyst.query(count) == [(2, 1)]
        assert analyst.query("SELECT order_id FROM analytics.orders") == []
        # Journeys are kept longer than what they were made of.
        journeys = "SELECT journeys, orders, touchpoints FROM analytics.customers WHERE customer_id = 'C-1'"
        assert analyst.query(journeys) == [(3, 2, 3)]
