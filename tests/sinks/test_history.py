"""What was known when: history of journeys and alerts, filled by inserts into their tables, and read as at a moment."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sinks.migrate import read_migrations
from sinks.writer import ClickHouseWriter
from tests.sinks.rows import uuid

pytestmark = pytest.mark.integration

# Near the present, so that no row is older than what history keeps.
START = datetime.now(UTC).replace(microsecond=0, tzinfo=None) - timedelta(days=40)
EPOCH = 2**32
HISTORIES = ("journeys.alert_history", "journeys.journey_history")


def at(days: float) -> datetime:
    return START + timedelta(days=days)


@pytest.fixture
def tables(clickhouse: ClickHouseWriter) -> Iterator[ClickHouseWriter]:
    """As `clickhouse`, with no history either."""
    forget_history(clickhouse)
    yield clickhouse
    forget_history(clickhouse)


def forget_history(writer: ClickHouseWriter) -> None:
    for name in HISTORIES:
        writer.query(f"TRUNCATE TABLE {name}")


def write(writer: ClickHouseWriter, table: str, **values: Any) -> None:
    """Insert a row of these values, the rest of which is as columns are by default."""
    picked = ", ".join(f"%({name})s" for name in values)
    writer.query(f"INSERT INTO journeys.{table} ({', '.join(values)}) SELECT {picked}", values)


def alert(writer: ClickHouseWriter, days: float, version: int, status: str = "open", **more: Any) -> None:
    row = {"customer_id": "C-1", "episode_id": str(uuid(1)), "rule": "long_wait", "status": status, **more}
    write(writer, "alerts", **row, _ingested_at=at(days), _version=version)


def journey(writer: ClickHouseWriter, days: float, version: int, touchpoints: int, **more: Any) -> None:
    row = {"customer_id": "C-1", "journey_id": str(uuid(1)), "status": "open", "touchpoints": touchpoints, **more}
    write(writer, "journeys", **row, _ingested_at=at(days), _version=version)


def alerts_at(analyst: ClickHouseWriter, days: float, columns: str = "status") -> list[Any]:
    sql = f"SELECT {columns} FROM analytics.alerts_as_known_at(at=%(at)s) ORDER BY ALL"
    return analyst.query(sql, {"at": str(at(days))})


def test_a_state_that_was_merged_away_is_still_known(tables: ClickHouseWriter, analyst: ClickHouseWriter) -> None:
    alert(tables, 1, EPOCH + 1, "open", severity="warning", actual=11.0)
    alert(tables, 2, EPOCH + 2, "open", severity="critical", actual=25.0)
    alert(tables, 3, EPOCH + 3, "resolved", severity="critical", actual=31.5)
    tables.query("OPTIMIZE TABLE journeys.alerts FINAL")
    assert tables.query("SELECT count() FROM journeys.alerts") == [(1,)]
    seen = [alerts_at(analyst, days, "severity, status, actual, known_at") for days in (0.5, 1, 2.5, 9)]
    assert seen == [
        [],
        [("warning", "open", 11.0, at(1).replace(tzinfo=UTC))],
        [("critical", "open", 25.0, at(2).replace(tzinfo=UTC))],
        [("critical", "resolved", 31.5, at(3).replace(tzinfo=UTC))],
    ]


def test_what_a_worker_without_its_partition_wrote_later_was_never_seen(
    tables: ClickHouseWriter, analyst: ClickHouseWriter
) -> None:
    alert(tables, 1, EPOCH + 1, "open")
    alert(tables, 2, 2 * EPOCH, "resolved")
    alert(tables, 3, EPOCH + 9, "open")
    assert alerts_at(analyst, 4) == [("resolved",)] == analyst.query("SELECT status FROM analytics.alerts")
    told = analyst.query("SELECT status, state, known_until IS NULL FROM analytics.alert_history ORDER BY state")
    assert told == [("open", 1, 0), ("resolved", 2, 1)]


def test_what_was_retracted_is_gone_from_then_on_and_may_come_back(
    tables: ClickHouseWriter, analyst: ClickHouseWriter
) -> None:
    alert(tables, 1, EPOCH + 1, "open")
    alert(tables, 2, EPOCH + 2, "open", _is_deleted=1)
    alert(tables, 3, EPOCH + 3, "open")
    assert [len(alerts_at(analyst, days)) for days in (1.5, 2.5, 3.5)] == [1, 0, 1]
    told = analyst.query("SELECT is_retracted, known_at, known_until FROM analytics.alert_history ORDER BY state")
    days = [at(each).replace(tzinfo=UTC) for each in (1, 2, 3)]
    assert told == [(False, days[0], days[1]), (True, days[1], days[2]), (False, days[2], None)]


def test_a_write_that_was_repeated_is_one_state_known_from_the_first_on(
    tables: ClickHouseWriter, analyst: ClickHouseWriter
) -> None:
    alert(tables, 1, EPOCH + 1)
    alert(tables, 2, EPOCH + 1)
    # A new owner of the partition found the same once more.
    alert(tables, 3, 2 * EPOCH)
    assert alerts_at(analyst, 2.5, "known_at") == [(at(1).replace(tzinfo=UTC),)]
    assert analyst.query("SELECT state, known_at, known_until FROM analytics.alert_history") == [
        (1, at(1).replace(tzinfo=UTC), None)
    ]


def test_a_count_that_was_not_known_and_then_was_is_another_state(
    tables: ClickHouseWriter, analyst: ClickHouseWriter
) -> None:
    for day, affected in enumerate((None, None, 4, None), 1):
        alert(tables, day, EPOCH + day, affected_customers=affected)
    told = analyst.query("SELECT affected_customers FROM analytics.alert_history ORDER BY state")
    assert told == [(None,), (4,), (None,)]
    assert [alerts_at(analyst, days, "affected_customers") for days in (2, 3, 4)] == [[(None,)], [(4,)], [(None,)]]


def test_journeys_are_known_as_they_grew_each_customer_for_itself(
    tables: ClickHouseWriter, analyst: ClickHouseWriter
) -> None:
    journey(tables, 1, EPOCH + 1, 3, customer_id="anonymous_id:a")
    journey(tables, 2, EPOCH + 2, 3, customer_id="anonymous_id:a", _is_deleted=1)
    journey(tables, 2, EPOCH + 2, 8, friction=2, experience=40.5)
    sql = "SELECT customer_id, touchpoints, friction, experience FROM analytics.journeys_as_known_at(at=%(at)s)"
    seen = [analyst.query(sql, {"at": str(at(days))}) for days in (1.5, 2)]
    assert seen == [[("anonymous_id:a", 3, 0, 0.0)], [("C-1", 8, 2, 40.5)]]
    told = "SELECT customer_id, touchpoints, is_retracted FROM analytics.journey_history ORDER BY customer_id, state"
    assert analyst.query(told) == [("C-1", 8, False), ("anonymous_id:a", 3, False), ("anonymous_id:a", 3, True)]


def test_what_is_so_since_before_history_began_is_known_from_the_table(
    tables: ClickHouseWriter, analyst: ClickHouseWriter
) -> None:
    journey(tables, 1, EPOCH + 1, 5)
    alert(tables, 1, EPOCH + 1)
    forget_history(tables)
    sql = "SELECT touchpoints FROM analytics.journeys_as_known_at(at=%(at)s)"
    assert [analyst.query(sql, {"at": str(at(days))}) for days in (0.5, 1.5)] == [[], [(5,)]]
    assert [alerts_at(analyst, days) for days in (0.5, 1.5)] == [[], [("open",)]]


def test_a_range_is_of_what_was_known_then_and_has_all_its_states(
    tables: ClickHouseWriter, analyst: ClickHouseWriter
) -> None:
    # Found to have begun ten days earlier, by data that came late; the other one lies outside all along.
    alert(tables, 1, EPOCH + 1, "open", opened_at=at(0))
    alert(tables, 2, EPOCH + 2, "resolved", opened_at=at(-10))
    alert(tables, 2, EPOCH + 3, "open", opened_at=at(-20), episode_id=str(uuid(2)))
    journey(tables, 1, EPOCH + 1, 3, started_at=at(0))
    journey(tables, 2, EPOCH + 2, 8, started_at=at(-10))
    journey(tables, 3, EPOCH + 3, 8, started_at=at(-10), _is_deleted=1)
    ranges = {"narrow": (at(-1), at(1)), "wide": (at(-11), at(1)), "before": (at(-11), at(0))}

    def known(view: str, columns: str, days: float, since: datetime, until: datetime) -> list[Any]:
        sql = f"SELECT {columns} FROM analytics.{view}(at=%(at)s, since=%(since)s, until=%(until)s) ORDER BY ALL"
        return analyst.query(sql, {"at": str(at(days)), "since": str(since), "until": str(until)})

    alerts = {
        name: [known("alerts_between_as_known_at", "status", days, *each) for days in (1, 2)]
        for name, each in ranges.items()
    }
    assert alerts == {
        "narrow": [[("open",)], []],
        "wide": [[("open",)], [("resolved",)]],
        "before": [[], [("resolved",)]],
    }
    journeys = [known("journeys_between_as_known_at", "touchpoints", days, *ranges["wide"]) for days in (1, 2, 3)]
    assert journeys == [[(3,)], [(8,)], []]
    every = known("alerts_between_as_known_at", "*", 9, at(-99), at(99))
    assert every == analyst.query(
        "SELECT * FROM analytics.alerts_as_known_at(at=%(at)s) ORDER BY ALL", {"at": str(at(9))}
    )
    told = "SELECT status, state FROM analytics.alert_history_between(since=%(since)s, until=%(until)s) ORDER BY state"
    since, until = ranges["narrow"]
    assert analyst.query(told, {"since": str(since), "until": str(until)}) == [("open", 1), ("resolved", 2)]


def test_a_range_sees_what_is_so_since_before_history_began(
    tables: ClickHouseWriter, analyst: ClickHouseWriter
) -> None:
    alert(tables, 1, EPOCH + 1, opened_at=at(0))
    journey(tables, 1, EPOCH + 1, 5, started_at=at(0))
    forget_history(tables)
    for view in ("alerts_between_as_known_at", "journeys_between_as_known_at"):
        sql = f"SELECT status FROM analytics.{view}(at=%(at)s, since=%(since)s, until=%(until)s)"
        assert analyst.query(sql, {"at": str(at(2)), "since": str(at(-1)), "until": str(at(1))}) == [("open",)]


def test_the_migration_takes_in_what_is_there_and_doubles_nothing_when_repeated(tables: ClickHouseWriter) -> None:
    [migration] = [each for each in read_migrations() if each.name == "0012_history.sql"]
    tables.query("SYSTEM STOP MERGES journeys.alerts")
    try:
        alert(tables, 1, EPOCH + 1, "open")
        alert(tables, 2, EPOCH + 2, "resolved")
        journey(tables, 1, EPOCH + 1, 5)
        forget_history(tables)
        alert(tables, 3, EPOCH + 3, "resolved", episode_id=str(uuid(2)))
        for _ in range(2):
            for statement in migration.statements:
                tables.query(statement)
    finally:
        tables.query("SYSTEM START MERGES journeys.alerts")
    kept = [tables.query(f"SELECT _version, _ingested_at FROM {name} ORDER BY 1") for name in HISTORIES]
    states = [(EPOCH + day, at(day).replace(tzinfo=UTC)) for day in (1, 2, 3)]
    assert kept == [states, states[:1]]
    assert tables.query("SELECT count() FROM journeys.alerts FINAL") == [(2,)]


def test_history_is_kept_for_as_long_as_it_says(tables: ClickHouseWriter) -> None:
    sql = "SELECT name, engine_full, comment FROM system.tables WHERE database = 'journeys' AND name LIKE '%%_history'"
    told = {name: (engine, comment) for name, engine, comment in tables.query(sql, {})}
    for name, years in (("alert_history", 3), ("journey_history", 1)):
        engine, comment = told[name]
        assert f"toIntervalYear({years})" in engine and f"kept for {years} year" in comment
