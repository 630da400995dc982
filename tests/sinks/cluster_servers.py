"""Two real ClickHouse servers that know each other as the two shards of cluster `shards`, without a Keeper."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.local import clickhouse
from deploy.local.ports import HOST, choose_ports
from deploy.local.secrets import write_private
from deploy.local.supervisor import ProcessSpec, Supervisor
from sinks.cluster_migration import SETTINGS
from tests.integration.secured import PASSWORD, make_users, user_of

CLUSTER = "shards"
NUMBERS = (1, 2)
PASSWORDS = {
    clickhouse.WRITER: "w",
    **{user: PASSWORD.format(user=user) for user in map(user_of, ("worker", "analyst"))},
}


@dataclass(frozen=True)
class Shards:
    """Client options of each server for each user, the first shard's first.

    `administrators` may do anything, `workers` and `analysts` what deploy/clickhouse/users.sql grants.
    """

    administrators: list[dict[str, Any]]
    workers: list[dict[str, Any]]
    analysts: list[dict[str, Any]]


@contextmanager
def running_shards(directory: Path) -> Iterator[Shards]:
    """Start both on free ports with their files under `directory`, which is made; they are stopped at the end."""
    ports = choose_ports({f"{kind}_{number}": 0 for number in NUMBERS for kind in ("tcp", "http")})
    (directory / "log").mkdir(parents=True)
    supervisor = Supervisor(directory / "log")
    supervisor.start([_spec(directory, number, ports) for number in NUMBERS])
    try:
        yield Shards(*([_options(ports[f"tcp_{number}"], user) for number in NUMBERS] for user in PASSWORDS))
    finally:
        supervisor.stop()


def _options(port: int, user: str) -> dict[str, Any]:
    return {"host": HOST, "port": port, "user": user, "password": PASSWORDS[user]}


def _spec(directory: Path, number: int, ports: dict[str, int]) -> ProcessSpec:
    home, log = directory / str(number), directory / f"log-{number}"
    log.mkdir()
    port, http_port = ports[f"tcp_{number}"], ports[f"http_{number}"]
    spec = clickhouse.clickhouse_spec(home, log, port, http_port, {clickhouse.WRITER: "w", clickhouse.ANALYST: "a"})
    shards = {f"shard_{each}": {"replica": _options(ports[f"tcp_{each}"], clickhouse.WRITER)} for each in NUMBERS}
    settings: clickhouse.Tree = {
        **clickhouse.server_settings(log, port, http_port),
        "remote_servers": {CLUSTER: shards},
        # Enough for a replicated table to be read, and not for a cluster that replicates: the second has none.
        **({"macros": {"shard": "1", "replica": "1"}} if number == 1 else {}),
    }
    write_private(home / "config.xml", clickhouse.render(settings))
    write_private(home / "users.xml", clickhouse.render(_user_settings()))
    return ProcessSpec(f"clickhouse-{number}", spec.command, spec.directory, spec.is_healthy)


def _user_settings() -> dict[str, Any]:
    users = make_users()
    profiles = {name: {**users["profiles"][name], **SETTINGS} for name in ("writer", "reader")}
    return {**users, "profiles": {**users["profiles"], **profiles}}
