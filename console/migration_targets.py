"""What `journeys migrate` migrates: one ClickHouse server, or each server of a cluster, through the same doors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from console.plurals import shorten
from schemas.errors import Misconfigured
from sinks import cluster_migration, migrate, schema_repair
from sinks.cluster_migration import Cluster, find_cluster
from sinks.migrate import Migration
from sinks.schema_check import check_schema

Options = Mapping[str, Any]
REPAIR = "`journeys migrate --repair` makes views again"


class Missing(NamedTuple):
    """A table or view that is not there: its name, and the server's where there are several."""

    name: str
    is_view: bool


class Target(Protocol):
    """Each method raises as the function of the same name in `sinks.migrate` does."""

    def plan(self, up_to: int | None) -> str:
        """The SQL that would be run; empty when nothing is pending."""

    def migrate(self, up_to: int | None, allow_dangerous: bool) -> list[str]:
        """Run it; returns a line for each file that was run."""

    def pending(self) -> dict[int, list[str]]:
        """On which servers each migration that is due has not run, by its number; one server alone has no name."""

    def run_times(self) -> dict[int, datetime]:
        """When each migration has run, by its number; the last time of several."""

    def check(self) -> list[str]:
        """A line for each deviation of the schema."""

    def find_missing(self) -> list[Missing]:
        """What is not there though its migration has run."""

    def repair(self) -> list[str]:
        """Make missing views again; returns a line for each."""


@dataclass(frozen=True)
class OneServer:
    """A server that stands alone."""

    options: Options

    def plan(self, up_to: int | None) -> str:
        """See `Target.plan`."""
        return migrate.plan(self.options, up_to=up_to)

    def migrate(self, up_to: int | None, allow_dangerous: bool) -> list[str]:
        """See `Target.migrate`."""
        return [each.name for each in migrate.migrate(self.options, up_to=up_to, allow_dangerous=allow_dangerous)]

    def pending(self) -> dict[int, list[str]]:
        """See `Target.pending`."""
        return {each.version: [] for each in migrate.pending(self.options)}

    def run_times(self) -> dict[int, datetime]:
        """See `Target.run_times`."""
        return migrate.run_times(self.options)

    def check(self) -> list[str]:
        """See `Target.check`."""
        return check_schema(self.options)

    def find_missing(self) -> list[Missing]:
        """See `Target.find_missing`."""
        return [Missing(each.name, each.is_view) for each in schema_repair.find_missing(self.options)]

    def repair(self) -> list[str]:
        """See `Target.repair`."""
        return schema_repair.repair(self.options)


@dataclass(frozen=True)
class AllServers:
    """The servers of a cluster."""

    cluster: Cluster

    def plan(self, up_to: int | None) -> str:
        """See `Target.plan`."""
        return cluster_migration.plan(self.cluster, up_to=up_to)

    def migrate(self, up_to: int | None, allow_dangerous: bool) -> list[str]:
        """See `Target.migrate`."""
        run = cluster_migration.migrate(self.cluster, up_to=up_to, allow_dangerous=allow_dangerous)
        return [f"{each.name}  on {server}" for server, done in run.items() for each in done]

    def pending(self) -> dict[int, list[str]]:
        """See `Target.pending`."""
        return _by_version(cluster_migration.pending(self.cluster))

    def run_times(self) -> dict[int, datetime]:
        """See `Target.run_times`."""
        times = [migrate.run_times(each.options) for each in self.cluster.servers]
        versions = {version for each in times for version in each}
        return {version: max(each[version] for each in times if version in each) for version in versions}

    def check(self) -> list[str]:
        """See `Target.check`."""
        return cluster_migration.check(self.cluster)

    def find_missing(self) -> list[Missing]:
        """See `Target.find_missing`."""
        found = cluster_migration.find_missing(self.cluster)
        return [
            Missing(f"{each.name} on {server}", each.is_view) for server, missing in found.items() for each in missing
        ]

    def repair(self) -> list[str]:
        """See `Target.repair`."""
        made = cluster_migration.repair(self.cluster)
        return [f"{name}  on {server}" for server, names in made.items() for name in names]


def choose_target(options: Options, cluster: str | None, *, is_replicated: bool) -> Target:
    """The server of `options`, or each of the cluster that it knows by this name. Raises as `find_cluster`."""
    if cluster is None:
        return OneServer(options)
    return AllServers(find_cluster(options, cluster, is_replicated=is_replicated))


def check_missing(missing: Sequence[Missing]) -> None:
    """Raise `Misconfigured`, with what to do, for what is not there though its migration has run."""
    tables = [each.name for each in missing if not each.is_view]
    if tables:
        raise Misconfigured(f"missing with all rows: {shorten(tables)}: `journeys migrate --check` says how to go on")
    if missing:
        names = shorten([each.name for each in missing])
        raise Misconfigured(f"somebody has dropped {names}: {REPAIR}")


def _by_version(pending: Mapping[str, Sequence[Migration]]) -> dict[int, list[str]]:
    servers: dict[int, list[str]] = {}
    for server, due in pending.items():
        for each in due:
            servers.setdefault(each.version, []).append(server)
    return servers
