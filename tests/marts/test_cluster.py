"""A cluster of two real servers answers every recipe of the cookbook as one server does."""

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from clickhouse_driver import Client

from benchmarks.cookbook import Recipe, read_recipes, write_table
from benchmarks.loading import load
from producers.simulator.shop import Shop
from schemas.errors import Misconfigured, Transient
from schemas.moments import check_moment
from sinks import cluster_migration, migrate
from sinks.cluster import cluster_form, rewrite
from sinks.cluster_migration import Cluster, find_cluster
from sinks.connection import connect
from sinks.migrate import read_migrations
from sinks.schema_check import check_schema
from sinks.sql_reading import rename_tables
from sinks.state_store import claim_epoch, current_epoch, load_states, record_flush
from sinks.tables import FILLED, TABLES
from sinks.writer import ClickHouseWriter
from tests.marts.conftest import SHOP_CUSTOMERS, SHOP_SEED, SHOP_START, SHOP_TOUCHPOINTS
from tests.sinks.cluster_servers import CLUSTER, Shards, running_shards

pytestmark = pytest.mark.integration
RECIPES = list(read_recipes())
OF_CUSTOMERS = {
    "touchpoints": "customer_id", "journeys": "customer_id", "promises": "customer_id", "alerts": "customer_id",
    "interest": "customer_id", "alert_history": "customer_id", "journey_history": "customer_id",
    "customer_state": "replaceOne(customer_key, 'customer_id:', '')",
}  # fmt: skip


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shards]:
    """Both servers, migrated, with the simulated shop written by way of the first."""
    with running_shards(tmp_path_factory.mktemp("cluster") / "servers") as running:
        cluster_migration.migrate(find_cluster(running.administrators[0], CLUSTER, is_replicated=False))
        with closing(ClickHouseWriter(running.workers[0])) as writer:
            shop = Shop(SHOP_SEED, check_moment(SHOP_START), SHOP_CUSTOMERS, personal=False)
            load(writer, islice(shop.touchpoints(), SHOP_TOUCHPOINTS))
        yield running


@pytest.fixture(scope="module")
def cluster(shards: Shards) -> Cluster:
    return find_cluster(shards.administrators[0], CLUSTER, is_replicated=False)


@pytest.fixture(scope="module")
def analysts(shards: Shards) -> Iterator[list[Client]]:
    """An analyst at each server."""
    clients = [connect(each) for each in shards.analysts]
    yield clients
    for client in clients:
        client.disconnect()


def ask(options: dict[str, Any], sql: str) -> list[tuple[Any, ...]]:
    with closing(ClickHouseWriter(options)) as writer:
        return writer.query(sql)


def test_both_shards_hold_rows_and_each_customer_is_on_one(shards: Shards) -> None:
    homes: dict[str, set[int]] = {}
    for number, options in enumerate(shards.administrators):
        for table, customer in OF_CUSTOMERS.items():
            rows = ask(options, f"SELECT DISTINCT {customer} FROM journeys.{table}_local")
            assert len(rows) > SHOP_CUSTOMERS / 10, table
            for (name,) in rows:
                homes.setdefault(name, set()).add(number)
    assert len(homes) >= SHOP_CUSTOMERS
    assert {len(each) for name, each in homes.items() if name} == {1}


def test_every_row_is_seen_from_each_server(shards: Shards) -> None:
    for name in (*(table.name for table in TABLES), *FILLED):
        held = [ask(options, f"SELECT count() FROM {name}_local")[0][0] for options in shards.administrators]
        seen = [ask(options, f"SELECT count() FROM {name}")[0][0] for options in shards.administrators]
        assert seen == [sum(held)] * 2, name
    assert ask(shards.administrators[1], "SELECT count() FROM analytics.touchpoints") == [(SHOP_TOUCHPOINTS,)]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda each: f"{each.file}:{each.title}")
def test_a_recipe_gives_what_it_gives_on_one_server(analysts: list[Client], recipe: Recipe) -> None:
    analyst = analysts[len(recipe.sql) % 2]
    rows, columns = analyst.execute(recipe.sql, with_column_types=True)
    assert write_table([name for name, _ in columns], rows) == recipe.table


def test_a_worker_finds_its_state_from_either_server(shards: Shards) -> None:
    with closing(ClickHouseWriter(shards.workers[0])) as first, closing(ClickHouseWriter(shards.workers[1])) as second:
        keys = [{key for block in load_states(each, 0, 1) for key in block.customer_keys} for each in (first, second)]
        assert keys[0] == keys[1] and len(keys[0]) > SHOP_CUSTOMERS / 2
        claims = [claim_epoch(each, "others", 0, "worker").epoch for each in (first, second, first)]
        assert claims == [1, 2, 3]
        assert current_epoch(second, "others", [0]) == {0: 3}


def test_what_is_written_twice_is_not_dropped_as_a_repetition(shards: Shards) -> None:
    held = "SELECT count() FROM journeys.partition_progress WHERE consumer_group = %(group)s"
    for administrator in shards.administrators:
        ask(administrator, "SYSTEM STOP MERGES journeys.partition_progress_local")
    with closing(ClickHouseWriter(shards.workers[0])) as writer, connect(shards.workers[0]) as plain:
        for _ in range(2):
            record_flush(writer, "written", [(0, 1, 1, 0, {"touchpoints": 5})], "worker")
            plain.execute("INSERT INTO journeys.partition_progress (consumer_group) VALUES", [("inserted",)])
        assert writer.query(held, {"group": "written"}) == [(2,)]
        assert writer.query(held, {"group": "inserted"}) == [(1,)], "these servers drop what they may"
    for administrator in shards.administrators:
        ask(administrator, "SYSTEM START MERGES journeys.partition_progress_local")


def test_each_replicated_table_is_right_but_for_the_keeper_that_this_server_lacks(shards: Shards) -> None:
    replicated = rewrite(read_migrations(), CLUSTER, is_replicated=True)
    creates = [each for one in replicated for each in one.statements if "ENGINE = Replicated" in each]
    assert len(creates) > 10
    for create in creates:
        (local,) = re.findall(r"CREATE TABLE IF NOT EXISTS (\S+)", create)
        with pytest.raises(Transient, match=r"\(225\): Can't create replicated table without ZooKeeper"):
            ask(shards.administrators[0], rename_tables(create, {local: "journeys.one_more"}))


def test_nothing_is_left_to_do_and_nothing_deviates(cluster: Cluster) -> None:
    assert set(cluster_migration.migrate(cluster)) == {each.name for each in cluster.servers}
    assert not any(cluster_migration.migrate(cluster).values()) and cluster_migration.plan(cluster) == ""
    assert cluster_migration.check(cluster) == []


def test_a_change_of_one_server_is_found_there(cluster: Cluster) -> None:
    second = cluster.servers[1]
    ask(dict(second.options), "ALTER TABLE journeys.promises_local ADD COLUMN mine UInt8")
    try:
        lines = cluster_migration.check(cluster)
    finally:
        ask(dict(second.options), "ALTER TABLE journeys.promises_local DROP COLUMN mine")
    assert len(lines) == 1
    assert lines[0].startswith(f"{second.name}: journeys.promises_local: column mine is of no migration")


@pytest.fixture
def undone(cluster: Cluster) -> Iterator[None]:
    """Take back what migration 9000 of the test below does."""
    yield
    for server in cluster.servers:
        for sql in (
            "TRUNCATE TABLE journeys.forgotten_local",
            "ALTER TABLE journeys.forgotten DROP COLUMN IF EXISTS why",
            "ALTER TABLE journeys.forgotten_local DROP COLUMN IF EXISTS why",
            "ALTER TABLE journeys.schema_versions DELETE WHERE version >= 9000 SETTINGS mutations_sync = 2",
        ):
            ask(dict(server.options), sql)


@pytest.mark.usefixtures("undone")
def test_a_later_migration_is_run_on_each_server_and_what_costs_data_on_none(cluster: Cluster, tmp_path: Path) -> None:
    for each in read_migrations():
        (tmp_path / each.name).write_text(each.sql)
    (tmp_path / "9000_more.sql").write_text("ALTER TABLE journeys.forgotten ADD COLUMN IF NOT EXISTS why String;")
    assert "-- on " in cluster_migration.plan(cluster, tmp_path)
    run = cluster_migration.migrate(cluster, tmp_path)
    assert {name: [each.version for each in done] for name, done in run.items()} == {
        each.name: [9000] for each in cluster.servers
    }
    for server in cluster.servers:
        assert ask(dict(server.options), "SELECT count() FROM journeys.forgotten WHERE why != ''") == [(0,)]
    second = cluster.servers[1]
    ask(dict(second.options), "INSERT INTO journeys.forgotten_local (identifier_hash) SELECT 'x'")
    (tmp_path / "9001_less.sql").write_text("ALTER TABLE journeys.forgotten DROP COLUMN IF EXISTS why;")
    with pytest.raises(
        Misconfigured, match=rf"{second.name}: nothing was run, as 9001_less\.sql.*forgotten_local: 1 rows"
    ):
        cluster_migration.migrate(cluster, tmp_path)
    assert all(each[-1].version == 9001 for each in cluster_migration.pending(cluster, tmp_path).values())


def test_a_cluster_is_not_migrated_as_one_server(shards: Shards, cluster: Cluster) -> None:
    with pytest.raises(Misconfigured, match="name it with --cluster"):
        migrate.migrate(shards.administrators[0])


def test_a_cluster_that_is_not_there_or_not_ready_is_one_line(shards: Shards, cluster: Cluster) -> None:
    with pytest.raises(Misconfigured, match=rf"no cluster 'none' \(it knows {CLUSTER}\)"):
        find_cluster(shards.administrators[0], "none")
    with pytest.raises(Misconfigured, match=r"127\.0\.0\.1:\d+ has no macro shard and no replica"):
        find_cluster(shards.administrators[0], CLUSTER)
    gone = replace(cluster.servers[1], options={**cluster.servers[1].options, "port": 1})
    with pytest.raises(Transient, match=re.escape(gone.name)):
        cluster_migration.migrate(replace(cluster, servers=[cluster.servers[0], gone]))


def test_users_without_the_settings_of_a_cluster_are_told(cluster: Cluster) -> None:
    careless = {**cluster.servers[1].options, "settings": {"distributed_foreground_insert": 0}}
    servers = [cluster.servers[0], replace(cluster.servers[1], options=careless)]
    with pytest.raises(Misconfigured, match=rf"{servers[1].name}: users need distributed_foreground_insert = 1 here"):
        cluster_migration.migrate(replace(cluster, servers=servers))


def test_a_user_who_may_make_no_databases_is_told_what_the_check_needs(shards: Shards) -> None:
    with pytest.raises(Misconfigured, match=r"lacks a right .*grant CREATE DATABASE ON journeys_check_"):
        check_schema(shards.workers[0], form=cluster_form(CLUSTER, is_replicated=False))
