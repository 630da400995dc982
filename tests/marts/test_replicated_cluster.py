"""Two servers as replicas of one shard, beside a real ZooKeeper: how they are migrated, and where rows go.

The embedded server takes no connections of other servers' (it knows TCP and HTTP for clients only), so it holds each
replicated table read-only: ZooKeeper lists both replicas of it and has compared their columns, and no row is copied.
"""

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy.local.ports import HOST
from schemas.errors import Misconfigured, Terminal
from sinks import cluster_migration, migrate
from sinks.cluster import rewrite
from sinks.cluster_migration import Cluster, find_cluster
from sinks.migrate import read_migrations
from sinks.sql_reading import Cursor, read_tokens
from sinks.state_store import claim_epoch, current_epoch, record_flush
from sinks.writer import ClickHouseWriter
from tests.sinks.cluster_servers import CLUSTER, Shards, running_replicas

pytestmark = [pytest.mark.integration, pytest.mark.zookeeper]
REPLICAS_SQL = """SELECT table, total_replicas FROM system.replicas WHERE database = 'journeys'"""
PROGRESS_SQL = "SELECT count() FROM journeys.partition_progress"
ALTERED = "journeys.alerts"
"""A table that later migrations have given more columns."""


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shards]:
    with running_replicas(tmp_path_factory.mktemp("replicas") / "servers", shards=1, replicas=2) as running:
        yield running


@pytest.fixture(scope="module")
def twins(servers: Shards) -> Cluster:
    """Both migrated from nothing as replicas are, but with tables that nothing replicates: rows can be put in."""
    both = replace(find_cluster(servers.administrators[0], CLUSTER), is_replicated=False)
    cluster_migration.migrate(both)
    return both


@pytest.fixture(scope="module")
def first(twins: Cluster) -> Cluster:
    """The cluster, with the tables of the first replicated, and the second empty. Not beside `twins`."""
    old, new = twins.servers
    for name, sql in cluster_migration.read_local_tables(old.options).items():
        ask(old.options, f"DROP TABLE {name} SYNC")
        ask(old.options, replicated(name, sql))
    for database in ("analytics", "journeys"):
        ask(new.options, f"DROP DATABASE {database} SYNC")
    return replace(twins, is_replicated=True)


def ask(options: Any, sql: str) -> list[tuple[Any, ...]]:
    with closing(ClickHouseWriter({**options, "database": "default"})) as writer:
        return writer.query(sql)


def replicated(name: str, sql: str) -> str:
    """A statement that makes a table, for the same one with replicas."""
    path = f"'/clickhouse/tables/{{shard}}/{name}', '{{replica}}'"
    engine = re.search(r"ENGINE = (\w*MergeTree)(\(([^)]*)\))?", sql)
    assert engine is not None
    arguments = f", {engine[3]}" if engine[3] else ""
    return sql.replace(engine[0], f"ENGINE = Replicated{engine[1]}({path}{arguments})", 1)


def test_both_are_migrated_from_nothing_and_nothing_deviates(twins: Cluster) -> None:
    for server in twins.servers:
        assert len(migrate.run_times(server.options)) == len(read_migrations())
    assert cluster_migration.check(twins) == []
    assert not any(cluster_migration.migrate(twins).values()) and cluster_migration.plan(twins) == ""


def test_what_changes_tables_and_rows_is_planned_for_one_replica(twins: Cluster, tmp_path: Path) -> None:
    for each in read_migrations():
        (tmp_path / each.name).write_text(each.sql)
    sql = (
        "ALTER TABLE journeys.forgotten ADD COLUMN why String; INSERT INTO journeys.facts SELECT * FROM journeys.facts;"
    )
    (tmp_path / "9000_more.sql").write_text(sql)
    one, other = cluster_migration.plan(twins, tmp_path).split("-- on ")[1:]
    assert "ALTER TABLE journeys.forgotten_local" in one and "INSERT INTO journeys.facts_local" in one
    assert "made as those of the shard's other servers are" in other.splitlines()[0] and "_local" not in other[90:]
    assert "ALTER TABLE journeys.forgotten\n    ADD COLUMN why String;" in one and other.count("ALTER TABLE") == 1


def test_what_is_written_by_way_of_any_server_is_read_by_way_of_any(twins: Cluster, servers: Shards) -> None:
    with closing(ClickHouseWriter(servers.workers[0])) as one, closing(ClickHouseWriter(servers.workers[1])) as other:
        claims = [claim_epoch(each, "any", 0, "worker").epoch for each in (one, other, other, one)]
        assert claims == [1, 2, 3, 4]
        assert current_epoch(one, "any", [0]) == current_epoch(other, "any", [0]) == {0: 4}
    usual = {**servers.workers[1], "settings": {"prefer_localhost_replica": 1}}
    with closing(ClickHouseWriter(usual)) as other:
        assert current_epoch(other, "any", [0]) == {0: 0}, "then the settings would not be needed"


def test_another_server_takes_over_when_the_first_is_gone(twins: Cluster, servers: Shards) -> None:
    addresses = {**servers.workers[0], "alt_hosts": f"{HOST}:{servers.places[1].port}"}
    with closing(ClickHouseWriter(addresses)) as writer:
        (before,) = writer.query(PROGRESS_SQL)
        # It handles no signal: this ends it as kill -9 does.
        servers.process(0).stop()
        try:
            record_flush(writer, "over", [(0, 1, 1, 0, {})], "worker")
            assert current_epoch(writer, "over", [0]) == {0: 1}
        finally:
            servers.process(0).start()
            servers.process(0).wait_healthy()
    assert ask(servers.administrators[0], PROGRESS_SQL) == [before]
    assert ask(servers.administrators[1], f"{PROGRESS_SQL}_local") != [(0,)]


def test_each_server_is_migrated_itself_where_several_addresses_are_known(servers: Shards) -> None:
    several = {**servers.administrators[0], "alt_hosts": f"{HOST}:{servers.places[1].port}", "round_robin": True}
    found = find_cluster(several, CLUSTER).servers
    assert [each.options["port"] for each in found] == [each.port for each in servers.places]
    assert not any({"alt_hosts", "round_robin"} & set(each.options) for each in found)


def test_users_of_replicas_need_the_settings_for_reading_what_they_wrote(twins: Cluster) -> None:
    careless = {**twins.servers[1].options, "settings": {"prefer_localhost_replica": 1}}
    servers = [twins.servers[0], replace(twins.servers[1], options=careless)]
    with pytest.raises(Misconfigured, match="users need prefer_localhost_replica = 0 here"):
        cluster_migration.migrate(replace(twins, servers=servers))


def test_a_replica_that_joins_is_made_as_the_others_are_now(first: Cluster) -> None:
    old, new = first.servers
    ask(new.options, "CREATE DATABASE journeys")
    created = next(
        each
        for migration in rewrite(read_migrations(), CLUSTER, is_replicated=True)
        for each in migration.statements
        if Cursor(read_tokens(each)).take("CREATE", "TABLE") and f" {ALTERED}_local" in each
    )
    with pytest.raises(Terminal, match=r"\(122\): Table columns structure in ZooKeeper is different"):
        ask(new.options, created)
    run = cluster_migration.migrate(replace(first, servers=[new, old]))
    assert [len(run[each.name]) for each in (new, old)] == [len(read_migrations()), 0]
    tables = cluster_migration.read_local_tables(old.options)
    assert cluster_migration.read_local_tables(new.options) == tables and len(tables) > 10
    for server in first.servers:
        assert ask(server.options, REPLICAS_SQL) == [(name.removeprefix("journeys."), 2) for name in sorted(tables)]
    assert cluster_migration.check(first) == []
    assert not any(cluster_migration.migrate(first).values())
