"""The warehouse: how long the cookbook takes on years of touchpoints, how large those are, and what comes in beside."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from itertools import islice
from typing import Any, NamedTuple

from clickhouse_driver import Client

from benchmarks.cookbook import Recipe, read_recipes
from benchmarks.figures import Figure, at_least, at_most
from benchmarks.ground import BenchmarkFailed, Ground, Report
from benchmarks.loading import load
from benchmarks.warehouse_inserts import Inserter, record_blocks
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
INSERTED, INSERTED_CUSTOMERS, INSERTED_FROM = 60_000, 24_000, "2026-10-14T00:00:00+03:00"
INSERTING_SECONDS, ASKING_SECONDS, ASKED_BESIDE = 15.0, 30.0, 4
"""Beside inserts every fourth recipe is asked, and not for longer: else the last month would grow out of proportion."""
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
CPU_SECONDS = """SELECT sum(value) / 1e6 FROM system.events
WHERE event IN ('UserTimeMicroseconds', 'SystemTimeMicroseconds')"""
TIMELINE = "SELECT * FROM analytics.touchpoints WHERE customer_id = %(customer)s ORDER BY occurred_at"
JOURNEYS = "SELECT * FROM analytics.journeys WHERE customer_id = %(customer)s ORDER BY started_at"


class Asked(NamedTuple):
    """How one question was answered. `seconds` of each round, the first of them cold, and of all the processor's."""

    name: str
    seconds: list[float]
    read_bytes: int
    cpu_seconds: float

    @property
    def median_seconds(self) -> float:
        return statistics.median(self.seconds)


def measure(count: int | None, report: Report) -> list[Figure]:
    """Ask every recipe of `count` touchpoints (default 50,000,000), and the timeline of one customer; then insert."""
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
        report("merging the months that are over")
        _settle(ground.writer)
        stored = _size(ground.writer)
        options = clickhouse_client_options(ground.stack.analyst_url, Settings.model_construct())
        with closing(_Analyst(options, ground.writer)) as analyst:
            asked = analyst.ask_all(report)
            inserted = _insert_beside(ground.writer, analyst, asked, report)
            return [*stored, *_judge(asked), *inserted, _summarise(asked[2:])]


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


def _settle(writer: ClickHouseWriter) -> None:
    """Merge months that are over, as the server does once one has been quiet for hours (docs/warehouse.md)."""
    parts = "FROM system.parts WHERE active AND database = 'journeys' AND table = 'touchpoints'"
    months = [month for (month,) in writer.query(f"SELECT DISTINCT partition_id {parts} ORDER BY partition_id")]
    for month in months[:-1]:
        writer.query(f"OPTIMIZE TABLE journeys.touchpoints PARTITION ID '{month}' FINAL")


def _size(writer: ClickHouseWriter) -> list[Figure]:
    [(touchpoints, customers, seed)] = writer.query(
        "SELECT (SELECT count() FROM journeys.touchpoints), (SELECT uniq(customer_id) FROM journeys.touchpoints), "
        "(SELECT count() FROM journeys.seed_touchpoints)"
    )
    [(stored_bytes, seed_bytes)] = writer.query(
        "SELECT sumIf(data_compressed_bytes, table = 'touchpoints'), "
        "sumIf(data_compressed_bytes, table = 'seed_touchpoints') "
        "FROM system.parts WHERE active AND database = 'journeys'"
    )
    return [
        Figure("warehouse_touchpoints", touchpoints, "touchpoints"),
        Figure("warehouse_customers", customers, "customers"),
        Figure("warehouse_touchpoint_size", stored_bytes / touchpoints, "bytes"),
        # Copies compress better than what happens once: this is of those that were simulated one by one.
        Figure("warehouse_touchpoint_size_without_copies", seed_bytes / seed, "bytes"),
    ]


class _Analyst:
    """Asks as the analyst does, whose memory and time are bounded; how busy the server was is asked as the writer."""

    def __init__(self, options: Mapping[str, Any], writer: ClickHouseWriter) -> None:
        self._client: Client = connect(options)
        self._writer = writer

    def close(self) -> None:
        self._client.disconnect()

    def ask_all(self, report: Report) -> list[Asked]:
        """The timeline of one customer, their journeys, and every recipe. Raises BenchmarkFailed without recipes."""
        [(customer,)] = self._client.execute("SELECT customer_id FROM analytics.journeys LIMIT 1 OFFSET 1000")
        asked = [self._ask(sql, sql, {"customer": customer}, ROUNDS) for sql in (TIMELINE, JOURNEYS)]
        for recipe in read_recipes():
            report(f"asking: {recipe.title}")
            asked.append(self._ask_recipe(recipe, ROUNDS))
        if len(asked) == 2:
            raise BenchmarkFailed("the cookbook has no recipes")
        return asked

    def ask_some(self) -> dict[str, Asked]:
        """Every fourth recipe once, by name, as many as begin in `ASKING_SECONDS`."""
        began = time.perf_counter()
        asked = {}
        for recipe in islice(read_recipes(), 0, None, ASKED_BESIDE):
            if time.perf_counter() - began < ASKING_SECONDS:
                answer = self._ask_recipe(recipe, 1)
                asked[answer.name] = answer
        return asked

    def _ask_recipe(self, recipe: Recipe, rounds: int) -> Asked:
        try:
            return self._ask(f"{recipe.file}: {recipe.title}", recipe.sql, {}, rounds)
        except Exception as error:
            # Too slow or too large is a finding, and the others are asked all the same.
            return Asked(f"{recipe.file}: {recipe.title}: {str(error).splitlines()[0][:80]}", [float("inf")], 0, 0)

    def _ask(self, name: str, sql: str, parameters: Mapping[str, Any], rounds: int) -> Asked:
        seconds = []
        busy_before = self._cpu_seconds()
        for _ in range(rounds):
            began = time.perf_counter()
            self._client.execute(sql, parameters or None)
            seconds.append(time.perf_counter() - began)
        busy = (self._cpu_seconds() - busy_before) / rounds
        return Asked(name, seconds, self._client.last_query.progress.bytes, busy)

    def _cpu_seconds(self) -> float:
        """Of both cores, whatever else the machine does meanwhile."""
        [(seconds,)] = self._writer.query(CPU_SECONDS)
        return float(seconds)


def _judge(asked: Sequence[Asked]) -> list[Figure]:
    timeline, journeys, *recipes = asked
    within = [each for each in recipes if each.median_seconds <= WANTED_SECONDS]
    return [
        at_most("warehouse_timeline", timeline.median_seconds, "s", WANTED_TIMELINE_SECONDS),
        at_most("warehouse_customer_journeys", journeys.median_seconds, "s", WANTED_TIMELINE_SECONDS),
        *(
            at_most(f"recipe {each.name} (worst {max(each.seconds):.2f} s, processor {each.cpu_seconds:.2f} s, "
                    f"{each.read_bytes / 1e6:,.0f} MB read, {'within aim' if each in within else 'BEYOND AIM'})",
                    each.median_seconds, "s", WANTED_SECONDS)
            for each in recipes
        ),
    ]  # fmt: skip


def _summarise(recipes: Sequence[Asked]) -> Figure:
    seconds = [each.median_seconds for each in recipes]
    name = f"warehouse_recipes_within_aim (median {statistics.median(seconds):.2f} s, slowest {max(seconds):.2f} s)"
    within = sum(each <= WANTED_SECONDS for each in seconds)
    return at_least(name, within, f"of {len(seconds)} recipes", len(seconds))


def _insert_beside(writer: ClickHouseWriter, analyst: _Analyst, alone: Sequence[Asked], report: Report) -> list[Figure]:
    """How fast touchpoints of the last days come in, and what that does to those who ask."""
    report("inserting")
    shop = Shop(11, check_moment(INSERTED_FROM), INSERTED_CUSTOMERS, personal=False)
    inserter = Inserter(writer, record_blocks(islice(shop.touchpoints(), INSERTED)))
    rate_alone = inserter.rate_alone(INSERTING_SECONDS)
    with inserter.beside() as rates:
        beside = analyst.ask_some()
    then = {each.name: each for each in alone}
    slower = [beside[name].median_seconds / then[name].median_seconds for name in beside if name in then]
    return [
        Figure("warehouse_insert_alone", rate_alone, "touchpoints/s"),
        Figure("warehouse_insert_beside_recipes", rates[0], "touchpoints/s", rates[0] / rate_alone, "alone"),
        Figure(
            "warehouse_recipes_beside_inserts", statistics.median(slower or [float("inf")]), "times as long as alone"
        ),
    ]
