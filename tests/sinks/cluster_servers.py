"""Real ClickHouse servers that know each other as cluster `shards`: two shards, or replicas beside a ZooKeeper too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from deploy.local import clickhouse
from deploy.local.ports import HOST, choose_ports
from deploy.local.secrets import write_private
from deploy.local.supervisor import Process, ProcessSpec, RestartPolicy, Supervisor
from sinks.cluster_migration import REPLICA_SETTINGS, SETTINGS
from tests.integration.secured import PASSWORD, make_users, user_of
from tests.sinks.zookeeper_server import zookeeper_spec

CLUSTER = "shards"
PASSWORDS = {
    clickhouse.WRITER: "w",
    **{user: PASSWORD.format(user=user) for user in map(user_of, ("worker", "analyst", "eraser"))},
}
FURTHER_GRANTS = {"journeys_eraser": ["GRANT SELECT ON system.clusters", "GRANT SELECT ON system.macros"]}
"""What docs/cluster.md gives besides those of users.sql. (`administrators` may do anything.)"""
SESSION_MILLISECONDS = 2_000
"""So long a dead replica still counts as one that lives."""
POLICY = RestartPolicy(start_timeout_seconds=90.0)


@dataclass(frozen=True)
class Place:
    """Where in the cluster a server stands, both from 1; its ports and its name in logs."""

    shard: int
    replica: int
    port: int
    http_port: int

    @property
    def name(self) -> str:
        return f"clickhouse-{self.shard}-{self.replica}"


@dataclass(frozen=True)
class Shards:
    """Client options of each server for each user, in order of `places`: the first shard's first.

    `administrators` may do anything, the others what deploy/clickhouse/users.sql and docs/cluster.md grant.
    """

    administrators: list[dict[str, Any]]
    workers: list[dict[str, Any]]
    analysts: list[dict[str, Any]]
    erasers: list[dict[str, Any]]
    places: Sequence[Place]
    supervisor: Supervisor

    def process(self, number: int) -> Process:
        """The process of the server with this number in the lists."""
        return self.supervisor.process(self.places[number].name)


@contextmanager
def running_shards(directory: Path) -> Iterator[Shards]:
    """Start two shards of one server each, without a Keeper, on free ports with their files under `directory`.

    The directory is made; all are stopped at the end.
    """
    with _running(directory, shards=2, replicas=1, zookeeper_port=None) as running:
        yield running


@contextmanager
def running_replicas(directory: Path, *, shards: int, replicas: int) -> Iterator[Shards]:
    """As `running_shards`, with several servers for each shard and a ZooKeeper; see `zookeeper_server.why_missing`."""
    port = choose_ports({"zookeeper": 0})["zookeeper"]
    supervisor = Supervisor(directory / "log", POLICY)
    supervisor.start([zookeeper_spec(directory / "zookeeper", port)])
    try:
        with _running(directory, shards=shards, replicas=replicas, zookeeper_port=port) as running:
            yield running
    finally:
        supervisor.stop()


@contextmanager
def _running(directory: Path, *, shards: int, replicas: int, zookeeper_port: int | None) -> Iterator[Shards]:
    numbers = list(product(range(1, shards + 1), range(1, replicas + 1)))
    kinds = ("tcp", "http", "interserver")
    ports = choose_ports({f"{kind}_{shard}_{replica}": 0 for kind in kinds for shard, replica in numbers})
    places = [Place(*each, ports["tcp_{}_{}".format(*each)], ports["http_{}_{}".format(*each)]) for each in numbers]
    (directory / "log").mkdir(parents=True, exist_ok=True)
    supervisor = Supervisor(directory / "log", POLICY)
    shared = {"remote_servers": {CLUSTER: _remote_servers(places)}, **_coordination(zookeeper_port)}
    specs = []
    for each in places:
        own: dict[str, Any] = {"interserver_http_port": ports[f"interserver_{each.shard}_{each.replica}"]}
        # Of two shards without a Keeper only the first has macros: enough for a replicated table to be read there, and
        # not for a cluster that replicates.
        if zookeeper_port is not None or each.shard == 1:
            own["macros"] = {"shard": str(each.shard), "replica": str(each.replica)}
        specs.append(_spec(directory, each, {**shared, **own, "interserver_http_host": HOST}))
    supervisor.start(specs)
    try:
        of_users = [[_options(each.port, user) for each in places] for user in PASSWORDS]
        administrators, workers, analysts, erasers = of_users
        yield Shards(administrators, workers, analysts, erasers, places, supervisor)
    finally:
        supervisor.stop()


def _options(port: int, user: str) -> dict[str, Any]:
    return {"host": HOST, "port": port, "user": user, "password": PASSWORDS[user]}


def _remote_servers(places: Sequence[Place]) -> dict[str, Any]:
    shards: dict[str, Any] = {}
    for each in places:
        shard = shards.setdefault(f"shard_{each.shard}", {"internal_replication": "true", "replica": []})
        shard["replica"].append(_options(each.port, clickhouse.WRITER))
    return shards


def _coordination(zookeeper_port: int | None) -> dict[str, Any]:
    if zookeeper_port is None:
        return {}
    node = {"host": HOST, "port": zookeeper_port}
    return {"zookeeper": {"node": node, "session_timeout_ms": SESSION_MILLISECONDS}}


def _spec(directory: Path, place: Place, further: dict[str, Any]) -> ProcessSpec:
    home, log = directory / place.name, directory / f"log-{place.name}"
    log.mkdir()
    passwords = {clickhouse.WRITER: "w", clickhouse.ANALYST: "a"}
    spec = clickhouse.clickhouse_spec(home, log, place.port, place.http_port, passwords)
    settings: clickhouse.Tree = {
        **clickhouse.server_settings(log, place.port, place.http_port),
        **further,
        # As replicated tables do: a block that was there before is dropped, if the insert allows it.
        "merge_tree": {"non_replicated_deduplication_window": 10_000},
    }
    write_private(home / "config.xml", clickhouse.render(settings))
    write_private(home / "users.xml", clickhouse.render(_user_settings()))
    return ProcessSpec(place.name, spec.command, spec.directory, spec.is_healthy)


def _user_settings() -> dict[str, Any]:
    users = make_users()
    # With one server for each shard those for replicas change nothing.
    further = {**SETTINGS, **REPLICA_SETTINGS}
    profiles = {name: {**users["profiles"][name], **further} for name in ("writer", "reader")}
    for user, grants in FURTHER_GRANTS.items():
        users["users"][user]["grants"]["query"] += grants
    return {**users, "profiles": {**users["profiles"], **profiles}}
