"""What `journeys migrate` migrates: one ClickHouse server, or each server of a cluster, through the same five doors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sinks import cluster_migration, migrate
from sinks.cluster_migration import Cluster, find_cluster
from sinks.migrate import Migration
from sinks.schema_check import check_schema

Options = Mapping[str, Any]


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


def choose_target(options: Options, cluster: str | None, *, is_replicated: bool) -> Target:
    """The server of `options`, or each of the cluster that it knows by this name. Raises as `find_cluster`."""
    if cluster is None:
        return OneServer(options)
    return AllServers(find_cluster(options, cluster, is_replicated=is_replicated))


def _by_version(pending: Mapping[str, Sequence[Migration]]) -> dict[int, list[str]]:
    servers: dict[int, list[str]] = {}
    for server, due in pending.items():
        for each in due:
            servers.setdefault(each.version, []).append(server)
    return servers
