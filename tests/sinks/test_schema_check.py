import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import Terminal, Transient
from sinks.migrate import MIGRATIONS, migrate
from sinks.schema_check import check_schema, normalise_engine
from sinks.writer import ClickHouseWriter
from tests.sinks.emptied import emptied


@pytest.fixture
def empty(options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Options for a server without any of our databases."""
    with emptied(options):
        yield options


def databases(writer: ClickHouseWriter) -> set[str]:
    return {name for (name,) in writer.query("SELECT name FROM system.databases")}


@pytest.mark.integration
def test_what_the_migrations_made_deviates_in_nothing_and_nothing_is_left_behind(
    clickhouse: ClickHouseWriter, options: dict[str, Any]
) -> None:
    before = databases(clickhouse)
    assert check_schema(options) == []
    assert databases(clickhouse) == before


@pytest.mark.integration
def test_each_deviation_is_a_line_that_says_what_to_do(empty: dict[str, Any]) -> None:
    migrate(empty)
    writer = ClickHouseWriter({**empty, "database": "default"})
    for change in (
        "ALTER TABLE journeys.dead_letters DROP COLUMN arrived_at",
        "ALTER TABLE journeys.alerts ADD COLUMN mine UInt8",
        "ALTER TABLE journeys.dead_letters MODIFY COLUMN raw_bytes UInt32",
        "ALTER TABLE journeys.alerts COMMENT COLUMN actual 'something else'",
        "ALTER TABLE journeys.alerts MODIFY COMMENT 'mine'",
        "ALTER TABLE journeys.alerts DROP INDEX version_range",
        "DROP TABLE journeys.facts",
        "DROP VIEW analytics.funnel",
        "CREATE TABLE journeys.mine (n UInt8) ENGINE = Memory",
        "CREATE OR REPLACE VIEW analytics.flow AS SELECT 1 AS n",
        "DROP TABLE journeys.history_of_alerts",
        "CREATE MATERIALIZED VIEW journeys.history_of_alerts TO journeys.interest AS "
        "SELECT customer_id FROM journeys.alerts",
        "DROP TABLE journeys.forgotten",
        "CREATE TABLE journeys.forgotten (identifier_hash String, receipt_id String, "
        "forgotten_at DateTime64(3, 'UTC')) ENGINE = MergeTree ORDER BY receipt_id",
    ):
        writer.query(change)
    writer.close()
    lines = check_schema(empty)
    for expected in (
        "journeys.dead_letters: column arrived_at is missing: `ALTER TABLE journeys.dead_letters ADD COLUMN arrived_at "
        "DateTime64(3, 'UTC') DEFAULT refused_at`",
        "journeys.alerts: column mine is of no migration: move it to a table of your own, then "
        "`ALTER TABLE journeys.alerts DROP COLUMN mine`",
        "journeys.dead_letters: column raw_bytes has type UInt32, not UInt64: "
        "`ALTER TABLE journeys.dead_letters MODIFY COLUMN raw_bytes UInt64`",
        "journeys.alerts: column actual has another comment: "
        "`ALTER TABLE journeys.alerts COMMENT COLUMN actual 'what was found, in the same unit'`",
        "journeys.alerts: index version_range is missing: it must be _version TYPE minmax",
        "journeys.facts is missing: run the statements about it again, in this order: 0003_rule_engine.sql",
        "analytics.funnel is missing: `journeys migrate --repair` makes it again",
        "journeys.mine is of no migration: drop it, or move it to a database of your own",
        "analytics.flow has another query: `DROP VIEW analytics.flow`, then `journeys migrate --repair` makes it again",
        "journeys.history_of_alerts has another target: `DROP VIEW journeys.history_of_alerts`, then `journeys migrate "
        "--repair` makes it again",
        "journeys.forgotten has another engine: it must be ReplacingMergeTree(forgotten_at): that takes a new table, "
        "filled from this one",
        "journeys.forgotten has another sorting key: it must be identifier_hash: that takes a new table, filled from "
        "this one",
    ):
        assert any(line.startswith(expected) for line in lines), expected
    assert any(line.startswith("journeys.alerts has another comment: `ALTER TABLE") for line in lines)
    assert not any("touchpoints" in line for line in lines)


@pytest.mark.integration
def test_what_is_pending_is_not_missed_and_a_ttl_is_the_operators(empty: dict[str, Any]) -> None:
    migrate(empty, up_to=12)
    writer = ClickHouseWriter({**empty, "database": "default"})
    writer.query("ALTER TABLE journeys.alert_history MODIFY TTL toDateTime(_ingested_at) + INTERVAL 9 YEAR")
    writer.close()
    assert check_schema(empty) == []


@pytest.mark.integration
def test_an_error_halfway_leaves_nothing_behind(empty: dict[str, Any], tmp_path: Path) -> None:
    directory = Path(shutil.copytree(MIGRATIONS, tmp_path / "migrations"))
    (directory / "9000_bad.sql").write_text(
        "CREATE VIEW IF NOT EXISTS analytics.bad AS SELECT n FROM default.source;\n"
    )
    writer = ClickHouseWriter({**empty, "database": "default"})
    writer.query("CREATE TABLE default.source (n UInt8) ENGINE = Memory")
    migrate(empty, directory)
    writer.query("DROP TABLE default.source")
    before = databases(writer)
    with pytest.raises(Terminal, match=r"default\.source"):
        check_schema(empty, directory)
    assert databases(writer) == before
    writer.close()


def test_a_server_that_is_not_there_is_one_line() -> None:
    with pytest.raises(Transient, match="cannot be reached"):
        check_schema({"host": "127.0.0.1", "port": 1})


@pytest.mark.parametrize(
    ("engine", "plain"),
    [
        ("MergeTree PARTITION BY x ORDER BY y SETTINGS index_granularity = 8192", "MergeTree"),
        ("ReplacingMergeTree(_version, _is_deleted) ORDER BY x", "ReplacingMergeTree(_version, _is_deleted)"),
        ("ReplicatedMergeTree('/a/{shard}/b', '{replica}') ORDER BY x", "MergeTree"),
        ("ReplicatedReplacingMergeTree('/a', 'b', _v, _d) PARTITION BY z ORDER BY x", "ReplacingMergeTree(_v, _d)"),
        ("Memory", "Memory"),
        ("Distributed('c', 'd', 't_local', cityHash64(f(x)))", "Distributed('c', 'd', 't_local', cityHash64(f(x)))"),
    ],
)  # fmt: skip
def test_an_engine_is_compared_without_how_it_is_replicated(engine: str, plain: str) -> None:
    assert normalise_engine(engine) == plain
