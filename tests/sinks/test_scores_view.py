"""The scores of a customer: averages over journeys that still add up, and the queries that the page shows."""

import math
import random
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sinks.tables import JOURNEYS, SEPARATOR
from sinks.writer import ClickHouseWriter
from tests.sinks.rows import NOW_MS, columns, uuid

pytestmark = pytest.mark.integration

DAY_MS = 86_400_000
PAGE = Path(__file__).resolve().parents[2] / "docs" / "scores.md"
QUERIES = re.findall(r"```sql\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)


def journey(
    number: int, ended_ms: int, experience: dict[str, float], effort: dict[str, float], **more: Any
) -> dict[str, Any]:
    row = {"customer_id": "C-1", "journey_id": str(uuid(number)), "started_at_ms": ended_ms, "ended_at_ms": ended_ms}
    for score, parts in (("experience", experience), ("effort", effort)):
        row[score] = sum(parts.values())
        row[f"{score}_parts_names"] = SEPARATOR.join(parts)
        row[f"{score}_parts_values"] = SEPARATOR.join(map(str, parts.values()))
    return row | more


def put(writer: ClickHouseWriter, *rows: dict[str, Any]) -> None:
    writer.insert(JOURNEYS, columns(JOURNEYS, rows))


def test_a_journey_counts_half_for_each_90_days_before_the_last(
    clickhouse: ClickHouseWriter, analyst: ClickHouseWriter
) -> None:
    put(
        clickhouse,
        journey(1, NOW_MS, {"base": 70.0}, {"base": 6.0}),
        journey(2, NOW_MS - 90 * DAY_MS, {"base": 70.0, "friction.wismo": -6.0}, {"base": 6.0, "contacts": 10.0}),
        journey(3, NOW_MS - 180 * DAY_MS, {"base": 70.0, "delight.promoter": 8.0}, {"base": 6.0, "contacts": 20.0}),
    )
    found = analyst.query(
        "SELECT journeys, first_started_at, last_ended_at, experience, effort, experience_parts, effort_parts"
        " FROM analytics.customer_scores WHERE customer_id = 'C-1'"
    )
    journeys, first, last, experience, effort, experience_parts, effort_parts = found[0]
    assert (len(found), journeys) == (1, 3)
    assert first == datetime.fromtimestamp((NOW_MS - 180 * DAY_MS) / 1000, UTC)
    assert last == datetime.fromtimestamp(NOW_MS / 1000, UTC)
    assert experience == pytest.approx((70 * 4 + 64 * 2 + 78) / 7)
    assert effort == pytest.approx((6 * 4 + 16 * 2 + 26) / 7)
    assert experience_parts == pytest.approx({"base": 70.0, "friction.wismo": -12 / 7, "delight.promoter": 8 / 7})
    assert effort_parts == pytest.approx({"base": 6.0, "contacts": 40 / 7})


def test_the_parts_of_every_customer_add_up_whatever_the_ages(
    clickhouse: ClickHouseWriter, analyst: ClickHouseWriter
) -> None:
    chance = random.Random(5)
    names = ["outcome.converted", "friction.long_wait", "friction.wismo", "promises.kept", "limit"]
    lives: dict[str, list[tuple[int, float, float]]] = {}
    rows = []
    for number in range(300):
        customer, ended_ms = f"C-{number % 40}", NOW_MS - chance.randrange(3_000 * DAY_MS)
        parts = {"base": 70.0} | {name: chance.randrange(-80, 80) / 4 for name in chance.sample(names, 3)}
        effort = {"base": 6.0, "touchpoints": chance.randrange(24) / 4}
        rows.append(journey(number, ended_ms, parts, effort, customer_id=customer))
        lives.setdefault(customer, []).append((ended_ms, sum(parts.values()), sum(effort.values())))
    put(clickhouse, *rows)
    columns_read = "customer_id, experience, effort, experience_parts, effort_parts"
    found = analyst.query(f"SELECT {columns_read} FROM analytics.customer_scores")
    assert {customer for customer, *_ in found} == set(lives)
    for customer, experience, effort, experience_parts, effort_parts in found:
        last_ms = max(ended_ms for ended_ms, *_ in lives[customer])
        weights = [2 ** (-(last_ms - ended_ms) / (90 * DAY_MS)) for ended_ms, *_ in lives[customer]]
        for place, (score, parts) in enumerate(((experience, experience_parts), (effort, effort_parts)), start=1):
            worth = math.fsum(w * life[place] for w, life in zip(weights, lives[customer], strict=True))
            assert score == pytest.approx(worth / math.fsum(weights), abs=1e-9)
            assert math.fsum(parts.values()) == pytest.approx(score, abs=1e-9)


@pytest.mark.parametrize("year", [1971, 2298])
def test_no_time_is_too_far_away(clickhouse: ClickHouseWriter, analyst: ClickHouseWriter, year: int) -> None:
    ended_ms = int(datetime(year, 1, 1, tzinfo=UTC).timestamp() * 1000)
    put(clickhouse, journey(1, ended_ms, {"base": 70.0}, {"base": 6.0}))
    assert analyst.query("SELECT experience, effort FROM analytics.customer_scores") == [(70.0, 6.0)]


def test_journeys_without_a_score_and_retracted_ones_do_not_count(
    clickhouse: ClickHouseWriter, analyst: ClickHouseWriter
) -> None:
    put(clickhouse, journey(1, NOW_MS, {"base": 70.0}, {"base": 6.0}), journey(2, NOW_MS, {}, {}))
    put(clickhouse, journey(3, NOW_MS, {"base": 10.0}, {"base": 90.0}))
    put(clickhouse, journey(3, NOW_MS, {"base": 10.0}, {"base": 90.0}, _version=1, _is_deleted=1))
    put(clickhouse, journey(4, NOW_MS, {}, {}, customer_id="C-2"))
    found = analyst.query("SELECT customer_id, journeys, experience FROM analytics.customer_scores")
    assert found == [("C-1", 1, 70.0)]


def test_one_customer_is_read_without_the_others(clickhouse: ClickHouseWriter) -> None:
    put(clickhouse, journey(1, NOW_MS, {"base": 70.0}, {"base": 6.0}))
    explained = clickhouse.query(
        "EXPLAIN indexes = 1 SELECT * FROM analytics.customer_scores WHERE customer_id = 'C-000777'"
    )
    assert any("Condition: (customer_id in ['C-000777', 'C-000777'])" in line for (line,) in explained)


def test_what_is_stored_of_a_journey_adds_up_without_rounding(
    clickhouse: ClickHouseWriter, analyst: ClickHouseWriter
) -> None:
    parts = {"base": 70.0, "outcome.converted": 2.0, "friction.wismo": -9.25, "waits.queue": -0.75}
    put(clickhouse, journey(1, NOW_MS, parts, {"base": 6.0, "touchpoints": 3.25}))
    sums = "experience = arraySum(mapValues(experience_parts)), effort = arraySum(mapValues(effort_parts))"
    assert analyst.query(f"SELECT {sums}, experience FROM analytics.journeys") == [(1, 1, 62.0)]


@pytest.mark.parametrize("sql", QUERIES, ids=[query.split("\n")[0][:40] for query in QUERIES])
def test_each_query_of_the_page_runs_for_an_analyst(
    clickhouse: ClickHouseWriter, analyst: ClickHouseWriter, sql: str
) -> None:
    parts = {"base": 70.0, "friction.long_wait": -8.0}
    put(clickhouse, journey(1, int(time.time() * 1000), parts, {"base": 6.0, "contacts": 10.0}))
    assert bool(analyst.query(sql)) != ("must be empty" in sql)
