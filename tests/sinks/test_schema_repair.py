from collections.abc import Iterator
from typing import Any

import pytest

from schemas.errors import Terminal
from sinks.migrate import Migration, migrate
from sinks.schema_check import check_schema
from sinks.schema_repair import find_missing, read_made, repair
from sinks.writer import ClickHouseWriter
from tests.sinks.emptied import emptied


@pytest.fixture
def empty(options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Options for a server without any of our databases."""
    with emptied(options):
        yield options


def execute(options: dict[str, Any], *statements: str) -> list[tuple[Any, ...]]:
    writer = ClickHouseWriter({**options, "database": "default"})
    found = [row for statement in statements for row in writer.query(statement) or ()]
    writer.close()
    return found


def missing(options: dict[str, Any]) -> list[str]:
    return [each.name for each in find_missing(options)]


@pytest.mark.integration
def test_views_that_were_dropped_are_as_before_and_their_readers_with_them(empty: dict[str, Any]) -> None:
    migrate(empty, up_to=12)
    assert find_missing(empty) == [] and repair(empty) == []
    migrate(empty)
    dropped = ("analytics.alerts", "analytics.flow", "analytics.journey_paths", "journeys.history_of_alerts")
    execute(empty, *(f"DROP VIEW {name}" for name in dropped))
    assert sorted(missing(empty)) == sorted(dropped)
    lost = ": what was written meanwhile is not in journeys.alert_history"
    assert sorted(repair(empty)) == sorted([*dropped[:3], dropped[3] + lost])
    assert missing(empty) == [] and check_schema(empty) == []


@pytest.mark.integration
def test_a_whole_database_of_views_is_made_again_and_a_table_is_not(empty: dict[str, Any]) -> None:
    migrate(empty)
    execute(empty, "DROP DATABASE analytics SYNC", "DROP TABLE journeys.facts")
    # Views that read the table that is gone cannot be made; whatever else there was is there afterwards.
    with pytest.raises(Terminal, match="journeys.facts"):
        repair(empty)
    found = {each.name: each.is_view for each in find_missing(empty)}
    assert found["journeys.facts"] is False and "analytics.journeys" not in found


def test_the_last_form_counts_with_what_altered_it() -> None:
    first = Migration(
        1, "0001.sql",
        "CREATE DATABASE IF NOT EXISTS analytics; CREATE TABLE IF NOT EXISTS journeys.t (n UInt8) ENGINE = Memory;"
        "CREATE VIEW IF NOT EXISTS analytics.a AS SELECT 1; ALTER TABLE analytics.a MODIFY COMMENT 'old';"
        "CREATE VIEW analytics.gone AS SELECT 1;",
    )  # fmt: skip
    second = Migration(
        2, "0002.sql",
        "CREATE MATERIALIZED VIEW journeys.m TO journeys.t AS SELECT 1 AS n; CREATE VIEW IF NOT EXISTS journeys.m AS "
        "SELECT 2; CREATE OR REPLACE VIEW analytics.a AS SELECT 2; ALTER TABLE analytics.a MODIFY COMMENT 'new';"
        "DROP VIEW IF EXISTS analytics.gone;",
    )  # fmt: skip
    made = read_made([first, second])
    assert [(each.name, each.is_view) for each in made.values()] == [
        ("journeys.t", False), ("journeys.m", True), ("analytics.a", True),
    ]  # fmt: skip
    assert [len(each.statements) for each in made.values()] == [1, 1, 2]
    assert "'new'" in made["analytics.a"].statements[1]
    assert "TO journeys.t" in made["journeys.m"].statements[0] and made["journeys.m"].fills == "journeys.t"
