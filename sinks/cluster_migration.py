"""Migrates each server of a cluster, in the form that `sinks.cluster` makes.

Each server by itself, over a connection of its own, instead of by ON CLUSTER: no queue in Keeper can time out or leave
a server behind unseen, an error names its server, and a server that is added later is brought up by the same command,
since each keeps its own account of what it has run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from clickhouse_driver import Client

from schemas.errors import JourneysError, Misconfigured
from sinks import migrate as single
from sinks import schema_repair
from sinks.cluster import LOCAL, Peers, cluster_form
from sinks.connection import opened
from sinks.migrate import MIGRATIONS, Migration
from sinks.schema_check import check_schema
from sinks.schema_repair import Made

Result = TypeVar("Result")

HOSTS_SQL = """SELECT shard_num, host_name, port, is_local FROM system.clusters
WHERE cluster = %(cluster)s ORDER BY shard_num, replica_num"""
CLUSTERS_SQL = "SELECT DISTINCT cluster FROM system.clusters ORDER BY cluster"
SETTINGS: Mapping[str, str] = {
    # An insert that is confirmed has reached its shard.
    "distributed_foreground_insert": "1",
    # Subqueries see all shards.
    "distributed_product_mode": "global",
    # Else an insert asks for a right to read files.
    "parallel_distributed_insert_select": "0",
}
"""What every user of the platform needs on a cluster; docs/cluster.md has the profile."""
REPLICA_SETTINGS: Mapping[str, str] = {
    # What was written is asked for where it was written, as long as that server lives: also by way of another.
    "load_balancing": "in_order",
    "prefer_localhost_replica": "0",
}
"""And where shards have several servers."""
SETTINGS_SQL = "SELECT name, value FROM system.settings WHERE name IN %(names)s"
TABLES_SQL = f"""SELECT database || '.' || name, create_table_query FROM system.tables
WHERE database = 'journeys' AND endsWith(name, '{LOCAL}')"""
MACROS_SQL = "SELECT macro, substitution FROM system.macros WHERE macro IN ('shard', 'replica')"


WAITS_FOR_REPLICAS: Mapping[str, Any] = {
    # A view that the next replica is to make may read the column that was just added.
    "alter_sync": 2,
}


@dataclass(frozen=True)
class Server:
    """One server of a cluster: its shard's number, how it is called, and the options of a client to it."""

    shard: int
    name: str
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Cluster:
    """The servers of the cluster `name`, in order of shards; `is_replicated`: its tables are kept by Keeper."""

    name: str
    servers: Sequence[Server]
    is_replicated: bool

    @property
    def form(self) -> single.Form:
        """In which migrations are run on the first server of a shard, and which says what there is on all."""
        return cluster_form(self.name, is_replicated=self.is_replicated)

    @property
    def settings(self) -> Mapping[str, str]:
        """What its users need."""
        has_replicas = any(self.peers(each) for each in self.servers)
        return {**SETTINGS, **REPLICA_SETTINGS} if has_replicas else SETTINGS

    def peers(self, server: Server) -> list[Server]:
        """The other replicas of a server's shard."""
        return [each for each in self.servers if each.shard == server.shard and each is not server]


def find_cluster(options: Mapping[str, Any], name: str, *, is_replicated: bool = True) -> Cluster:
    """The cluster as the server of `options` knows it; all its servers are reached with the same user.

    Raises `Misconfigured` when there is no such cluster, a shard has several servers that nothing would replicate
    between, or macros that replication goes by are missing or not a server's own.
    """
    with _client(options) as client:
        rows = client.execute(HOSTS_SQL, {"cluster": name})
        known = [each for (each,) in client.execute(CLUSTERS_SQL)]
    if not rows:
        has = f"it knows {', '.join(known)}" if known else "it knows none"
        raise Misconfigured(f"the server knows no cluster {name!r} ({has}): name one of remote_servers in its settings")
    servers = [
        Server(shard, f"{host}:{port}", _options_of(options, host, port, is_local=bool(is_local)))
        for shard, host, port, is_local in rows
    ]
    if is_replicated:
        _check_macros(servers)
    elif len({each.shard for each in servers}) < len(servers):
        raise Misconfigured(f"cluster {name!r} has shards of several servers: their tables must be replicated")
    return Cluster(name, servers, is_replicated)


def migrate(
    cluster: Cluster, directory: Path = MIGRATIONS, *, up_to: int | None = None, allow_dangerous: bool = False
) -> dict[str, list[Migration]]:
    """Run on each server what is pending there, and return it by the server's name. Raises as `sinks.migrate.migrate`.

    What would cost data on any server is looked for on all of them before anything is run, and so are the settings that
    users need: those of this one stand for the others.
    """
    for server in cluster.servers:
        _at(server, partial(_check_settings, wanted=cluster.settings))
    if not allow_dangerous:
        for server in cluster.servers:
            form = form_of(cluster, server, directory)
            _at(server, partial(_check_dangers, directory=directory, up_to=up_to, form=form))
    done: dict[str, list[Migration]] = {}
    for server in cluster.servers:
        form = form_of(cluster, server, directory)
        run = partial(single.migrate, directory=directory, up_to=up_to, allow_dangerous=allow_dangerous, form=form)
        done[server.name] = _at(_waiting_for_replicas(server), run)
    return done


def plan(cluster: Cluster, directory: Path = MIGRATIONS, *, up_to: int | None = None) -> str:
    """The SQL that `migrate` would run, once for all servers that lack the same; empty when nothing is pending."""
    plans: dict[str, list[str]] = {}
    for server in cluster.servers:
        form = form_of(cluster, server, directory)
        text = _at(server, partial(single.plan, directory=directory, up_to=up_to, form=form))
        if text:
            follows = f"{server.name} (its {LOCAL} tables are made as those of the shard's other servers are by then)"
            plans.setdefault(text, []).append(follows if _comes_later(cluster, server) else server.name)
    return "\n".join(f"-- on {', '.join(names)}\n{text}" for text, names in plans.items())


def pending(cluster: Cluster, directory: Path = MIGRATIONS) -> dict[str, list[Migration]]:
    """What has not run, by the name of each server. Only reads; raises as `sinks.migrate.pending`."""
    return {
        each.name: _at(each, lambda on: single.pending(on, directory, form=cluster.form)) for each in cluster.servers
    }


def check(cluster: Cluster, directory: Path = MIGRATIONS) -> list[str]:
    """A line for each deviation on any server; raises as `sinks.schema_check.check_schema`."""
    # Beside the real tables nothing is replicated: paths in Keeper would be the real ones.
    form = cluster_form(cluster.name, is_replicated=False)
    return [
        f"{server.name}: {line}"
        for server in cluster.servers
        for line in _at(server, lambda on: check_schema(on, directory, form=form))
    ]


def find_missing(cluster: Cluster, directory: Path = MIGRATIONS) -> dict[str, list[Made]]:
    """What is missing on each server, by its name; raises as `sinks.schema_repair.find_missing`."""
    return {
        each.name: _at(each, lambda on: schema_repair.find_missing(on, directory, form=cluster.form))
        for each in cluster.servers
    }


def repair(cluster: Cluster, directory: Path = MIGRATIONS) -> dict[str, list[str]]:
    """Make missing views again on each server, by its name; raises as `sinks.schema_repair.repair`."""
    return {
        each.name: _at(each, lambda on: schema_repair.repair(on, directory, form=cluster.form))
        for each in cluster.servers
    }


def _options_of(options: Mapping[str, Any], host: str, port: int, *, is_local: bool) -> dict[str, Any]:
    """For this server and no other: whoever knows several addresses would be given another where one is away."""
    own = {name: value for name, value in options.items() if name not in ("alt_hosts", "round_robin")}
    return own if is_local and own == options else {**own, "host": host, "port": port}


def form_of(cluster: Cluster, server: Server, directory: Path) -> single.Form:
    """In which a server is migrated once those before it have been: of each shard, the first changes what is common."""
    peers = cluster.peers(server)
    if not peers:
        return cluster.form
    done = {version for each in peers for version in _at(each, single.run_times)}
    if _comes_later(cluster, server):
        done |= {each.version for each in single.read_migrations(directory)}
    tables = {name: sql for each in peers for name, sql in _at(each, read_local_tables).items()}
    known = Peers(done, tables, is_joining=not _at(server, single.run_times))
    return cluster_form(cluster.name, is_replicated=cluster.is_replicated, peers=known)


def _comes_later(cluster: Cluster, server: Server) -> bool:
    """Whether another of its shard is migrated before it."""
    return next(each for each in cluster.servers if each.shard == server.shard) is not server


def read_local_tables(options: Mapping[str, Any]) -> dict[str, str]:
    """The statement that would make each table that holds rows as it is now, by name. Raises as `opened` does."""
    with _client(options) as client:
        made = dict(client.execute(TABLES_SQL))
    return {name: sql.replace("CREATE TABLE ", "CREATE TABLE IF NOT EXISTS ", 1) for name, sql in made.items()}


def _check_macros(servers: Sequence[Server]) -> None:
    owners: dict[tuple[str, str], str] = {}
    shards: dict[int, str] = {}
    for server in servers:
        macros = _at(server, _read_macros)
        missing = [name for name in ("shard", "replica") if not macros.get(name)]
        if missing:
            raise Misconfigured(f"{server.name} has no macro {' and no '.join(missing)}: replicated tables need both")
        owner = owners.setdefault((macros["shard"], macros["replica"]), server.name)
        if owner != server.name:
            raise Misconfigured(f"{server.name} and {owner} have the same macros shard and replica: each needs its own")
        if shards.setdefault(server.shard, macros["shard"]) != macros["shard"]:
            raise Misconfigured(f"{server.name} is of shard {server.shard}, others of which have another macro shard")
    if len(set(shards.values())) < len(shards):
        raise Misconfigured("two shards have the same macro shard: their tables would be copies of each other")


def _check_settings(options: Mapping[str, Any], wanted: Mapping[str, str]) -> None:
    with _client(options) as client:
        found = dict(client.execute(SETTINGS_SQL, {"names": tuple(wanted)}))
    wrong = [f"{name} = {value}" for name, value in wanted.items() if found.get(name) != value]
    if wrong:
        raise Misconfigured(f"users need {', '.join(wrong)} here: make the profile that docs/cluster.md shows")


def _check_dangers(options: Mapping[str, Any], directory: Path, up_to: int | None, form: single.Form) -> None:
    single.check_dangers(single.dangers(options, directory, up_to=up_to, form=form))


def _waiting_for_replicas(server: Server) -> Server:
    settings = {**server.options.get("settings", {}), **WAITS_FOR_REPLICAS}
    return replace(server, options={**server.options, "settings": settings})


def _read_macros(options: Mapping[str, Any]) -> dict[str, str]:
    with _client(options) as client:
        return dict(client.execute(MACROS_SQL))


def _client(options: Mapping[str, Any]) -> AbstractContextManager[Client]:
    # The database that the options name may be the one that is still to be made.
    return opened({**options, "database": "default"})


def _at(server: Server, work: Callable[[Mapping[str, Any]], Result]) -> Result:
    """What `work` gives for this server; its errors say which server it was."""
    try:
        return work(server.options)
    except JourneysError as error:
        raise type(error)(f"{server.name}: {error}") from error
