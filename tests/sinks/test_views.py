"""What analysts see: one row per thing, whatever was written how often and wherever it lies."""

from collections.abc import Iterator
from typing import Any

import pytest

from schemas.errors import Terminal
from sinks.tables import ALERTS, JOURNEYS, PROMISES, TOUCHPOINTS, Table
from sinks.writer import ClickHouseWriter
from tests.sinks.rows import NOW_MS, put, uuid

pytestmark = pytest.mark.integration

MONTH_MS = 31 * 86_400_000
HOUR_MS = 3_600_000
NOBODY = uuid(0)


@pytest.fixture
def store(clickhouse: ClickHouseWriter) -> Iterator[ClickHouseWriter]:
    """No merge happens by itself, so that what a test wrote apart stays apart."""
    clickhouse.query("SYSTEM STOP MERGES")
    yield clickhouse
    clickhouse.query("SYSTEM START MERGES")


def touchpoint(number: int, at_ms: int = NOW_MS, **more: Any) -> dict[str, Any]:
    return {"customer_id": "C-1", "source": "web", "event_id": f"e{number}", "occurred_at_ms": at_ms, **more}


def journey(number: int, from_ms: int, to_ms: int, version: int = 1, **more: Any) -> dict[str, Any]:
    span = {"started_at_ms": from_ms, "ended_at_ms": to_ms}
    return {"customer_id": "C-1", "journey_id": str(uuid(number)), **span, "_version": version, **more}


def test_a_touchpoint_written_again_is_one_row(store: ClickHouseWriter, analyst: ClickHouseWriter) -> None:
    put(store, TOUCHPOINTS, touchpoint(1), touchpoint(1), touchpoint(2))
    put(store, TOUCHPOINTS, touchpoint(1))
    assert store.query("SELECT count() FROM journeys.touchpoints") == [(4,)]
    assert analyst.query("SELECT event_id FROM analytics.touchpoints ORDER BY event_id") == [("e1",), ("e2",)]


def test_of_duplicates_the_earliest_received_stays_and_not_late_beats_late(
    store: ClickHouseWriter, analyst: ClickHouseWriter
) -> None:
    put(store, TOUCHPOINTS, touchpoint(1, received_at_ms=NOW_MS + 2, channel="second"))
    put(store, TOUCHPOINTS, touchpoint(1, received_at_ms=NOW_MS + 1, channel="first"))
    put(store, TOUCHPOINTS, touchpoint(1, received_at_ms=NOW_MS, channel="late", late=1))
    assert analyst.query("SELECT channel, late FROM analytics.touchpoints") == [("first", False)]


def test_a_retracted_touchpoint_is_gone_for_good(store: ClickHouseWriter, analyst: ClickHouseWriter) -> None:
    put(store, TOUCHPOINTS, touchpoint(1), touchpoint(2))
    put(store, TOUCHPOINTS, touchpoint(1, _is_deleted=1))
    put(store, TOUCHPOINTS, touchpoint(1))
    assert analyst.query("SELECT event_id FROM analytics.touchpoints") == [("e2",)]


@pytest.mark.parametrize("separately", [0, 1])
@pytest.mark.parametrize("merged", [False, True])
def test_months_apart_count_the_same_however_final_treats_partitions(
    store: ClickHouseWriter, analyst: ClickHouseWriter, merged: bool, separately: int
) -> None:
    for received_at_ms in (NOW_MS, NOW_MS + MONTH_MS):
        again = [touchpoint(n, NOW_MS - n * MONTH_MS, received_at_ms=received_at_ms) for n in range(6)]
        put(store, TOUCHPOINTS, *again)
    put(store, TOUCHPOINTS, touchpoint(3, NOW_MS - 3 * MONTH_MS, _is_deleted=1))
    if merged:
        store.query("SYSTEM START MERGES")
        store.query("OPTIMIZE TABLE journeys.touchpoints FINAL")
    found = store.query(
        "SELECT event_id FROM analytics.touchpoints ORDER BY event_id"
        f" SETTINGS do_not_merge_across_partitions_select_final = {separately}"
    )
    assert found == [(f"e{n}",) for n in (0, 1, 2, 4, 5)]
    assert analyst.query("SELECT count() FROM analytics.touchpoints") == [(5,)]


KEYED: tuple[tuple[Table, str, str], ...] = (
    (JOURNEYS, "journey_id", "analytics.journeys"),
    (PROMISES, "promise_id", "analytics.promises"),
    (ALERTS, "episode_id", "analytics.alerts"),
)


@pytest.mark.parametrize(("table", "identity", "view"), KEYED)
@pytest.mark.parametrize("merged", [False, True])
def test_the_newest_version_shows_and_retracted_rows_do_not(
    store: ClickHouseWriter, analyst: ClickHouseWriter, table: Table, identity: str, view: str, merged: bool
) -> None:
    def row(number: int, version: int, status: str, deleted: int = 0) -> dict[str, Any]:
        mine = {"customer_id": "C-1", identity: str(uuid(number)), "status": status}
        return {**mine, "_version": version, "_is_deleted": deleted}

    put(store, table, row(1, 1 << 32 | 1, "old"), row(2, 1 << 32 | 1, "stays"), row(3, 1 << 32 | 1, "retracted"))
    put(store, table, row(1, 2 << 32 | 1, "newest"), row(3, 2 << 32 | 1, "", 1))
    put(store, table, row(1, 1 << 32 | 9, "zombie"))
    if merged:
        store.query("SYSTEM START MERGES")
        store.query(f"OPTIMIZE TABLE {table.name} FINAL")
    assert analyst.query(f"SELECT {identity}, status FROM {view} ORDER BY status") == [
        (uuid(1), "newest"),
        (uuid(2), "stays"),
    ]


def membership(writer: ClickHouseWriter, more: str = "") -> dict[str, Any]:
    return dict(writer.query(f"SELECT event_id, journey_id FROM analytics.touchpoints {more}"))


@pytest.mark.parametrize("settings", ["", "SETTINGS join_use_nulls = 1", "SETTINGS final = 1"])
def test_a_touchpoint_belongs_to_the_journey_it_lies_in(store: ClickHouseWriter, settings: str) -> None:
    day = 24 * HOUR_MS
    put(store, JOURNEYS, journey(1, NOW_MS, NOW_MS + HOUR_MS), journey(2, NOW_MS + day, NOW_MS + day))
    put(store, JOURNEYS, journey(3, NOW_MS, NOW_MS + 9 * day, customer_id="C-2"))
    put(
        store,
        TOUCHPOINTS,
        touchpoint(1, NOW_MS - 1),
        touchpoint(2, NOW_MS),
        touchpoint(3, NOW_MS + HOUR_MS),
        touchpoint(4, NOW_MS + HOUR_MS + 1),
        touchpoint(5, NOW_MS + day),
        touchpoint(6, NOW_MS + day + 1),
        touchpoint(7, NOW_MS + 1, late=1),
        touchpoint(8, NOW_MS + HOUR_MS + 1, customer_id="C-2"),
        touchpoint(9, NOW_MS, customer_id="C-3"),
    )
    first, second, others = uuid(1), uuid(2), uuid(3)
    assert membership(store, settings) == {
        "e1": NOBODY,
        "e2": first,
        "e3": first,
        "e4": NOBODY,
        "e5": second,
        "e6": NOBODY,
        "e7": NOBODY,
        "e8": others,
        "e9": NOBODY,
    }


def test_one_customer_is_read_without_the_others(store: ClickHouseWriter) -> None:
    put(store, JOURNEYS, *[journey(n, NOW_MS, NOW_MS, customer_id=f"C-{n:06}") for n in range(50_000)])
    put(store, TOUCHPOINTS, *[touchpoint(n, NOW_MS, customer_id=f"C-{n:06}") for n in range(50_000)])
    explained = store.query("EXPLAIN indexes = 1 SELECT * FROM analytics.touchpoints WHERE customer_id = 'C-000777'")
    keys = [line for (line,) in explained if "Condition: (customer_id in ['C-000777', 'C-000777'])" in line]
    assert len(keys) == 2, "both touchpoints and journeys are found by their key"


def test_membership_follows_when_journeys_change(store: ClickHouseWriter, analyst: ClickHouseWriter) -> None:
    put(store, TOUCHPOINTS, *[touchpoint(n, NOW_MS + n * HOUR_MS) for n in range(3)])
    put(store, JOURNEYS, journey(1, NOW_MS + HOUR_MS, NOW_MS + 2 * HOUR_MS))
    assert membership(analyst) == {"e0": NOBODY, "e1": uuid(1), "e2": uuid(1)}
    retracted = journey(1, NOW_MS + HOUR_MS, NOW_MS + 2 * HOUR_MS, version=2, _is_deleted=1)
    put(store, JOURNEYS, retracted, journey(2, NOW_MS, NOW_MS + 2 * HOUR_MS, version=2))
    assert membership(analyst) == {f"e{n}": uuid(2) for n in range(3)}


def test_counts_by_membership_agree_with_the_journeys(store: ClickHouseWriter, analyst: ClickHouseWriter) -> None:
    journeys, touchpoints = [], []
    for number in range(1, 16):
        mine: dict[str, Any] = {"customer_id": f"C-{number % 3}"}
        at_ms, size = NOW_MS + number * MONTH_MS, number % 5 + 1
        journeys.append(journey(number, at_ms, at_ms + (size - 1) * HOUR_MS, touchpoints=size, **mine))
        touchpoints += [touchpoint(number * 10 + n, at_ms + n * HOUR_MS, **mine) for n in range(size)]
    put(store, JOURNEYS, *journeys)
    put(store, TOUCHPOINTS, *touchpoints)
    differing = analyst.query(
        "SELECT j.journey_id FROM analytics.journeys AS j LEFT JOIN"
        " (SELECT journey_id, count() AS members FROM analytics.touchpoints GROUP BY journey_id) AS t"
        " ON j.journey_id = t.journey_id WHERE t.members != j.touchpoints"
    )
    assert differing == []
    assert analyst.query("SELECT count() FROM analytics.journeys") == [(15,)]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM journeys.customer_state",
        "SELECT * FROM journeys.touchpoints",
        "INSERT INTO analytics.journeys (customer_id) SELECT 'x'",
        "DROP VIEW analytics.journeys",
        "CREATE VIEW analytics.mine AS SELECT 1",
    ],
)
def test_an_analyst_reads_the_views_and_nothing_else(analyst: ClickHouseWriter, sql: str) -> None:
    analyst.query("SELECT * FROM analytics.journeys")
    with pytest.raises(Terminal, match="497|164"):
        analyst.query(sql)


def test_every_view_says_what_it_is(clickhouse: ClickHouseWriter) -> None:
    views = clickhouse.query("SELECT name, comment FROM system.tables WHERE database = 'analytics' AND engine = 'View'")
    assert {name for name, _ in views} >= {"journeys", "touchpoints", "promises", "alerts", "open_interest", "silences"}
    assert all(comment for _, comment in views)
