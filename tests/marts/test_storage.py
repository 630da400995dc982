"""Of touchpoints little is read, and what is read is right while versions of a row lie in several parts."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from deploy.local.stack import LocalStack
from deploy.services import clickhouse_client_options
from schemas.settings import Settings
from sinks.writer import ClickHouseWriter

pytestmark = pytest.mark.integration
COLUMNS = "customer_id, occurred_at, source, event_id, type, order_id, late, _version, _is_deleted"
ROW = "'{customer}', '2026-09-01 10:00:00', 'web', 'e-1', 'order_placed', '{order}', {late}, {version}, {deleted}"
FINAL = "SELECT count() FROM journeys.touchpoints FINAL WHERE "


@pytest.fixture
def administrator(server: LocalStack) -> Iterator[ClickHouseWriter]:
    with closing(ClickHouseWriter(clickhouse_client_options(server.clickhouse_url, Settings()))) as writer:
        writer.query("TRUNCATE TABLE journeys.touchpoints")
        writer.query("SYSTEM STOP MERGES journeys.touchpoints")
        yield writer
        writer.query("SYSTEM START MERGES journeys.touchpoints")
        writer.query("TRUNCATE TABLE journeys.touchpoints")


def put(
    writer: ClickHouseWriter, customer: str, version: int, order: str = "", late: bool = False, deleted: int = 0
) -> None:
    """One row in a part of its own."""
    row = ROW.format(customer=customer, order=order, late=late, version=version, deleted=deleted)
    writer.query(f"INSERT INTO journeys.touchpoints ({COLUMNS}) SELECT {row}")


def indexes_used(writer: ClickHouseWriter, condition: str) -> str:
    return "\n".join(line for (line,) in writer.query(f"EXPLAIN indexes = 1 {FINAL}{condition}"))


@pytest.mark.parametrize(
    ("condition", "index"),
    [
        ("order_id = 'O-1'", "order_filter"),
        ("late", "late_range"),
        ("customer_id = 'C-1'", "customer_filter"),
        ("_offset < 5", "offset_range"),
    ],
)
def test_an_index_serves(administrator: ClickHouseWriter, condition: str, index: str) -> None:
    put(administrator, "C-1", 1, order="O-1", late=True)
    assert index in indexes_used(administrator, condition)
    assert administrator.query(FINAL + condition) == [(1,)]


@pytest.mark.parametrize("condition", ["order_id = 'O-1'", "late"])
@pytest.mark.parametrize("deleted", [0, 1])
def test_an_older_version_that_an_index_finds_does_not_come_back(
    administrator: ClickHouseWriter, condition: str, deleted: int
) -> None:
    put(administrator, "C-1", 1, order="O-1", late=True)
    put(administrator, "C-1", 2, deleted=deleted)
    assert administrator.query(FINAL + condition) == [(0,)]
    # What would be so without that: the index does leave the newer part out.
    assert administrator.query(FINAL + condition + " SETTINGS use_skip_indexes_if_final_exact_mode = 0") == [(1,)]


def test_a_month_is_read_without_merging_once_it_is_one_part(administrator: ClickHouseWriter) -> None:
    put(administrator, "C-1", 1)
    put(administrator, "C-1", 2)
    assert "Replacing" in pipeline(administrator)
    administrator.query("SYSTEM START MERGES journeys.touchpoints")
    administrator.query("OPTIMIZE TABLE journeys.touchpoints FINAL")
    assert "Replacing" not in pipeline(administrator)
    assert administrator.query(FINAL + "true") == [(1,)]


def pipeline(writer: ClickHouseWriter) -> str:
    return "\n".join(line for (line,) in writer.query(f"EXPLAIN PIPELINE {FINAL}true"))


def test_the_server_brings_quiet_months_there_by_itself(administrator: ClickHouseWriter) -> None:
    [(definition,)] = administrator.query("SHOW CREATE TABLE journeys.touchpoints")
    assert "min_age_to_force_merge_seconds = 21600" in definition
    assert "min_age_to_force_merge_on_partition_only = 1" in definition
