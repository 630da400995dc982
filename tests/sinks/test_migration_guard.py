from collections.abc import Iterator
from typing import Any

import pytest

from deploy.services import clickhouse_client_options
from schemas.settings import Settings
from sinks.migrate import migrate, read_migrations
from sinks.migration_guard import Guard
from sinks.risky_changes import Change, read_changes
from sinks.writer import ClickHouseWriter
from tests.sinks.emptied import emptied


@pytest.mark.parametrize(
    ("statement", "target", "what"),
    [
        ("DROP TABLE IF EXISTS a.b SYNC", "a.b", "drops it"),
        ("/* ; */ drop table `a`.`b` -- DROP", "a.b", "drops it"),
        ("DROP DATABASE a", "a", "drops it"),
        ("DROP VIEW a.b", "a.b", "drops it"),
        ("CREATE OR REPLACE TABLE a.b (n Int8) ENGINE = Memory", "a.b", "puts another in its place"),
        ("CREATE OR REPLACE MATERIALIZED VIEW a.b TO a.c AS SELECT 1", "a.b", "puts another in its place"),
        ("CREATE OR REPLACE VIEW a.b AS SELECT 1", "a.b", "puts another in its place"),
        ("TRUNCATE TABLE IF EXISTS a.b", "a.b", "deletes all rows"),
        ("TRUNCATE a.b", "a.b", "deletes all rows"),
        ("DELETE FROM a.b WHERE 1", "a.b", "deletes rows"),
        ("UPDATE a.b SET x = 1 WHERE 1", "a.b", "overwrites values"),
        ("DETACH TABLE a.b PERMANENTLY", "a.b", "takes it out of use"),
        ("OPTIMIZE TABLE a.b FINAL DEDUPLICATE", "a.b", "deletes rows that it takes for the same"),
        ("ALTER TABLE a.b ON CLUSTER c DELETE WHERE 1", "a.b", "deletes rows"),
        ("ALTER TABLE a.b ADD COLUMN x Int8, DROP PARTITION 202601", "a.b", "deletes the rows of a partition"),
        ("ALTER TABLE a.b DETACH PARTITION 202601", "a.b", "takes rows out of use"),
        ("ALTER TABLE a.b REPLACE PARTITION 1 FROM a.c", "a.b", "puts other rows in the place of a partition"),
        ("ALTER TABLE a.b MODIFY ORDER BY (x, y)", "a.b", "changes by what rows replace one another"),
        ("ALTER TABLE a.b MODIFY TTL x + INTERVAL 1 DAY", "a.b", "may delete rows that are older"),
        ("ALTER TABLE a.b REMOVE TTL", "a.b", "keeps rows for ever that were to expire"),
        ("ALTER TABLE a.b MODIFY QUERY SELECT 1", "a.b", "fills its table with something else"),
        ("ALTER TABLE a.b FROBNICATE", "a.b", "is not known to be harmless"),
        ("FROBNICATE a.b", "", "is not known to be harmless"),
    ],
)
def test_what_may_cost_data_is_told(statement: str, target: str, what: str) -> None:
    assert read_changes(statement) == [Change(target, what)]


def test_a_change_of_columns_names_them() -> None:
    assert read_changes(
        "ALTER TABLE a.b DROP COLUMN IF EXISTS x, MODIFY COLUMN y Map(String, Int8) CODEC(ZSTD(3))"
    ) == [
        Change("a.b", "deletes the values of column", column="x"),
        Change("a.b", "gives another type to column", column="y", type="Map(String,Int8)"),
    ]
    assert read_changes("ALTER TABLE a.b UPDATE x = f(1, 2), y = 2 WHERE 1, CLEAR COLUMN z IN PARTITION 1") == [
        Change("a.b", "overwrites values"),
        Change("a.b", "deletes the values of column", column="z"),
    ]
    assert [each.what for each in read_changes("RENAME TABLE a.b TO a.c, a.d TO a.e")] == [
        "gives it another name, under which nobody looks for it"
    ] * 2
    assert [each.target for each in read_changes("EXCHANGE TABLES a.b AND a.c")] == ["a.b", "a.c"]


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE IF NOT EXISTS a.b (n Int8) ENGINE = Memory",
        "CREATE VIEW IF NOT EXISTS a.b AS SELECT 'DROP TABLE a.c' AS drop -- DROP TABLE a.c",
        "INSERT INTO a.b SELECT * FROM a.b",
        "ALTER TABLE a.b ADD COLUMN x Int8 TTL y + INTERVAL 1 DAY, COMMENT COLUMN x 'DROP', MODIFY COMMENT 'y, DROP'",
        "ALTER TABLE a.b MODIFY COLUMN x COMMENT 'TTL', MODIFY COLUMN y CODEC(ZSTD), DROP INDEX i",
    ],
)
def test_what_costs_nothing_is_not(statement: str) -> None:
    assert read_changes(statement) == []


@pytest.fixture(scope="module")
def guarded(request: pytest.FixtureRequest) -> Iterator[ClickHouseWriter]:
    """Our tables with an episode, its history and a block list of three."""
    options: dict[str, Any] = clickhouse_client_options(request.getfixturevalue("server").clickhouse_url, Settings())
    with emptied(options) as writer:
        migrate(options)
        # Without a time of today its history would expire at once.
        writer.query("INSERT INTO journeys.alerts (customer_id, _ingested_at) SELECT 'C-1', now64(3)")
        for name in "abc":
            writer.query(f"INSERT INTO journeys.forgotten VALUES ('{name}', 'r', now64(3))")
        yield writer


def weigh(writer: ClickHouseWriter, *statements: str) -> list[str]:
    return [each.reason for each in Guard(writer.query).dangers("9000_x.sql", statements)]


@pytest.mark.integration
def test_only_what_has_rows_can_be_lost(guarded: ClickHouseWriter) -> None:
    harmless = (
        "DROP TABLE journeys.facts",
        "DROP TABLE IF EXISTS journeys.nothing",
        "DROP VIEW analytics.alerts",
        "DROP TABLE analytics.alerts",
        "DROP DATABASE analytics",
        "ALTER TABLE journeys.forgotten DROP COLUMN IF EXISTS nothing",
        "ALTER TABLE journeys.alerts MODIFY COLUMN rule LowCardinality( String )",
        "DROP TABLE journeys.interest_of_touchpoints",
    )
    assert weigh(guarded, *harmless) == []


@pytest.mark.integration
def test_what_can_be_lost_is_weighed(guarded: ClickHouseWriter) -> None:
    found = weigh(
        guarded,
        "DROP TABLE journeys.forgotten",
        "DROP DATABASE journeys",
        "ALTER TABLE journeys.alerts MODIFY COLUMN rule String",
        "ALTER TABLE journeys.forgotten DROP COLUMN receipt_id",
        "DROP VIEW journeys.history_of_alerts",
        "FROBNICATE",
    )
    for reason, expected in zip(
        found,
        (
            r"drops it: journeys.forgotten: 3 rows",
            r"drops it: journeys: ",
            r"gives another type to column rule (LowCardinality(String) now): journeys.alerts: 1 rows",
            r"deletes the values of column receipt_id: journeys.forgotten: 3 rows",
            r"drops it: journeys.history_of_alerts, which fills journeys.alert_history: 1 rows, ",
            r"is not known to be harmless",
        ),
        strict=True,
    ):
        assert reason.startswith(expected)


@pytest.mark.integration
def test_a_view_costs_nothing_but_in_the_place_of_what_holds_or_fills(guarded: ClickHouseWriter) -> None:
    names = ("analytics.alerts", "analytics.new", "journeys.forgotten", "journeys.history_of_alerts")
    found = weigh(guarded, *(f"CREATE OR REPLACE VIEW {name} AS SELECT 1" for name in names))
    assert [each.split(":")[1].strip() for each in found] == [
        "journeys.forgotten",
        "journeys.history_of_alerts, which fills journeys.alert_history",
    ]


@pytest.mark.integration
def test_no_migration_of_ours_costs_data_where_there_is_some(guarded: ClickHouseWriter) -> None:
    assert [each for one in read_migrations() for each in weigh(guarded, *one.statements)] == []
