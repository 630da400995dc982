"""The ClickHouse servers that keep a customer: one, or all of a cluster, each looked at and rewritten by itself.

A Distributed table shows what all shards hold and erases nothing; a server's files are its own.
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from console.forgetting_names import Needles
from console.forgetting_scan import count_system_logs
from console.forgetting_tables import BaseTable, Part, Person, count_rows, erase_rows, make_plan, purge, read_tables
from schemas.errors import JourneysError, Misconfigured
from sinks.cluster_migration import find_cluster
from sinks.writer import ClickHouseWriter

DISTRIBUTED_SQL = """SELECT concat(database, '.', name), engine_full FROM system.tables
WHERE database IN ('journeys', 'analytics') AND engine = 'Distributed'"""
REPLICATED_SQL = "SELECT count() FROM system.tables WHERE database = 'journeys' AND startsWith(engine, 'Replicated')"
DETACHED_SQL = "SELECT count() FROM system.detached_parts WHERE database = 'journeys'"


@dataclass(frozen=True)
class Server:
    """One server. `name` is empty where there is no other; `is_first`: of its shard, whose replicas have its rows too.

    `spread` are the tables of which it holds a part under a name of its own.
    """

    clickhouse: ClickHouseWriter
    name: str = ""
    is_first: bool = True
    spread: frozenset[str] = frozenset()

    def label(self, place: str) -> str:
        """How a place on this server is called."""
        return f"{place} on {self.name}" if self.name else place

    def tables(self) -> list[BaseTable]:
        """Its base tables, by the names that people use."""
        return read_tables(self.clickhouse, self.spread)

    def count_detached(self) -> int:
        """Parts that somebody has taken out of tables, and that nothing here can look into."""
        return int(self.clickhouse.query(DETACHED_SQL)[0][0])

    def count_logs(self, needles: Needles) -> dict[str, int | None]:
        """Lines of its own logs that name the customer, by table."""
        return {self.label(table): count for table, count in count_system_logs(self.clickhouse, needles).items()}


@dataclass(frozen=True)
class PlannedPart:
    """Rows of one table as one shard holds them."""

    server: Server
    part: Part

    @property
    def name(self) -> str:
        """How receipts call it, wherever it is."""
        return self.part.table.name + (f" ({self.part.taken_out})" if self.part.taken_out else "")

    def count(self, needles: Needles) -> int:
        """How many rows it has."""
        return count_rows(self.server.clickhouse, self.part, needles)

    def erase(self) -> None:
        """Rewrite the files of all replicas without them."""
        erase_rows(self.server.clickhouse, self.part)


@contextmanager
def opened_servers(clickhouse: ClickHouseWriter, options: Mapping[str, Any]) -> Iterator[list[Server]]:
    """The server of `clickhouse`, or all of the cluster that it belongs to; all are reached as the same user.

    Raises as `sinks.cluster_migration.find_cluster` does, `Misconfigured` for tables of several clusters, and with its
    name for a server that does not answer: what is on it could not be erased.
    """
    spread = dict(clickhouse.query(DISTRIBUTED_SQL))
    if not spread:
        yield [Server(clickhouse)]
        return
    names = {found[1] for engine in spread.values() if (found := re.match(r"Distributed\('([^']+)'", engine))}
    if len(names) != 1:
        raise Misconfigured(f"tables of journeys are spread over {len(names)} clusters: a customer is erased from one")
    [name] = names
    is_replicated = bool(clickhouse.query(REPLICATED_SQL)[0][0])
    with ExitStack() as opened:
        servers: list[Server] = []
        shards: set[int] = set()
        for each in find_cluster(options, name, is_replicated=is_replicated).servers:
            writer = ClickHouseWriter(each.options)
            opened.callback(writer.close)
            servers.append(Server(writer, each.name, each.shard not in shards, frozenset(spread)))
            shards.add(each.shard)
            _check(servers[-1])
        yield servers


def _check(server: Server) -> None:
    try:
        server.clickhouse.query("SELECT 1")
    except JourneysError as error:
        raise type(error)(f"{server.name}: {error}; a customer is erased only where all servers answer") from error


def plan_parts(servers: Iterable[Server], person: Person) -> dict[str, list[PlannedPart]]:
    """What there is to erase, by its name in receipts; of each shard once, as replicas follow."""
    planned: dict[str, list[PlannedPart]] = {}
    for server in servers:
        if server.is_first:
            for part in make_plan(server.tables(), person):
                each = PlannedPart(server, part)
                planned.setdefault(each.name, []).append(each)
    return planned


def purge_files(servers: Iterable[Server], names: Collection[str], deadline: float) -> dict[str, int]:
    """Have replaced files of these tables removed on each server; how many are left at the monotonic `deadline`."""
    return {
        server.label(table.name): purge(server.clickhouse, table, seconds=deadline - time.monotonic())
        for server in servers
        for table in server.tables()
        if table.name in names
    }
