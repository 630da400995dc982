"""The warehouse: how long the recipes of the cookbook take on years of touchpoints, and how large those are on disk."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from itertools import islice
from typing import Any, NamedTuple

from clickhouse_driver import Client

from benchmarks.cookbook import Recipe, read_recipes
from benchmarks.figures import Figure, at_most
from benchmarks.ground import BenchmarkFailed, Ground, Report
from benchmarks.loading import load
from deploy.services import clickhouse_client_options
from producers.simulator.shop import Shop
from schemas.moments import check_moment
from schemas.settings import Settings
from sinks.connection import connect
from sinks.writer import ClickHouseWriter

TOUCHPOINTS = 50_000_000
SIMULATED = 250_000
PER_CUSTOMER = 25
START = "2026-09-01T00:00:00+03:00"
DAYS_APART = 3
ROUNDS = 3
WANTED_SECONDS, WANTED_TIMELINE_SECONDS = 1.0, 0.05
TIMES = {
    "touchpoints": ("occurred_at", "received_at", "occurred_at_original"),
    "journeys": ("started_at", "ended_at"),
    "promises": ("requested_at", "first_promised_at", "latest_promised_at", "settled_at"),
    "alerts": ("opened_at", "last_seen_at", "resolved_at", "limit_at"),
}
IDS = {
    "touchpoints": (),
    "journeys": ("journey_id",),
    "promises": ("promise_id", "journey_id"),
    "alerts": ("episode_id", "journey_id"),
}
TIMELINE = "SELECT * FROM analytics.touchpoints WHERE customer_id = %(customer)s ORDER BY occurred_at"
JOURNEYS = "SELECT * FROM analytics.journeys WHERE customer_id = %(customer)s ORDER BY started_at"


class Asked(NamedTuple):
    """How one question was answered. `seconds` of each round, the first of them cold."""

    name: str
    seconds: list[float]
    read_bytes: int


def measure(count: int | None, report: Report) -> list[Figure]:
    """Ask every recipe of `count` touchpoints (default 50,000,000), and the timeline of one customer."""
    wanted = count or TOUCHPOINTS
    simulated = min(SIMULATED, wanted)
    with Ground() as ground:
        report(f"stitching {simulated:,} touchpoints")
        shop = Shop(7, check_moment(START), max(1, simulated // PER_CUSTOMER), personal=False)
        load(ground.writer, islice(shop.touchpoints(), simulated))
        _keep_seed(ground.writer)
        for number in range(1, wanted // simulated):
            report(f"copying: {number * simulated:,} of {wanted:,} touchpoints")
            _copy(ground.writer, number)
        stored = _size(ground.writer)
        options = clickhouse_client_options(ground.stack.analyst_url, Settings.model_construct())
        return [*stored, *_ask_all(options, report)]


def _copy(writer: ClickHouseWriter, number: int) -> None:
    """The same once more, by other customers, some days before: people live at different times."""
    for table, times in TIMES.items():
        replaced = [f"concat(customer_id, '-{number}') AS customer_id"]
        replaced += [
            f"toUUID(UUIDNumToString(MD5(concat(toString({name}), '-{number}')))) AS {name}" for name in IDS[table]
        ]
        # 1970-01-01 stands for never.
        replaced += [f"if({name} = 0, {name}, {name} - INTERVAL {DAYS_APART * number} DAY) AS {name}" for name in times]
        writer.query(
            f"INSERT INTO journeys.{table} SELECT * REPLACE ({', '.join(replaced)}) FROM journeys.seed_{table}"
        )


def _keep_seed(writer: ClickHouseWriter) -> None:
    """Put what was stitched aside, to be copied from."""
    for table in TIMES:
        writer.query(f"CREATE TABLE journeys.seed_{table} AS journeys.{table}")
        writer.query(f"INSERT INTO journeys.seed_{table} SELECT * FROM journeys.{table} FINAL")


def _size(writer: ClickHouseWriter) -> list[Figure]:
    [(touchpoints, size, customers)] = writer.query(
        "SELECT (SELECT count() FROM journeys.touchpoints), (SELECT sum(data_compressed_bytes) FROM system.parts "
        "WHERE active AND database = 'journeys' AND table = 'touchpoints'), "
        "(SELECT uniq(customer_id) FROM journeys.touchpoints)"
    )
    return [
        Figure("warehouse_touchpoints", touchpoints, "touchpoints"),
        Figure("warehouse_customers", customers, "customers"),
        Figure("warehouse_touchpoint_size", size / touchpoints, "bytes"),
    ]


def _ask_all(options: Mapping[str, Any], report: Report) -> list[Figure]:
    client = connect(options)
    try:
        [(customer,)] = client.execute("SELECT customer_id FROM analytics.journeys LIMIT 1 OFFSET 1000")
        timelines = [_ask(client, sql, sql, {"customer": customer}) for sql in (TIMELINE, JOURNEYS)]
        asked = []
        for recipe in read_recipes():
            report(f"asking: {recipe.title}")
            asked.append(_ask_recipe(client, recipe))
    finally:
        client.disconnect()
    if not asked:
        raise BenchmarkFailed("the cookbook has no recipes")
    return [
        at_most("warehouse_timeline", statistics.median(timelines[0].seconds), "s", WANTED_TIMELINE_SECONDS),
        at_most("warehouse_customer_journeys", statistics.median(timelines[1].seconds), "s", WANTED_TIMELINE_SECONDS),
        *(
            at_most(f"recipe {each.name} (worst {max(each.seconds):.2f} s, {each.read_bytes / 1e6:,.0f} MB read)",
                    statistics.median(each.seconds), "s", WANTED_SECONDS)
            for each in asked
        ),
    ]  # fmt: skip


def _ask_recipe(client: Client, recipe: Recipe) -> Asked:
    try:
        return _ask(client, f"{recipe.file}: {recipe.title}", recipe.sql, {})
    except Exception as error:
        # Too slow or too large is a finding, and the others are asked all the same.
        return Asked(f"{recipe.file}: {recipe.title}: {str(error).splitlines()[0][:80]}", [float("inf")], 0)


def _ask(client: Client, name: str, sql: str, parameters: Mapping[str, Any]) -> Asked:
    seconds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        client.execute(sql, parameters or None)
        seconds.append(time.perf_counter() - began)
    return Asked(name, seconds, client.last_query.progress.bytes)
