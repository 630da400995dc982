"""A ClickHouse with the users of `deploy/clickhouse/users.sql`, behind TLS with a certificate of a throw-away CA."""

from __future__ import annotations

import re
import ssl
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme

from deploy.local import clickhouse
from deploy.local.ports import choose_ports
from deploy.local.secrets import write_private
from deploy.local.supervisor import Supervisor
from tests.integration.harness import ROOT
from tests.integration.tls_proxy import TlsProxy

USERS_FILE = ROOT / "deploy" / "clickhouse" / "users.sql"
ROLES = ("admin", "worker", "console", "eraser", "analyst")
PASSWORD = "only-for-{user}"


@dataclass(frozen=True)
class Secured:
    """Where it answers with TLS, and the file that says whom to trust."""

    port: int
    plain_port: int
    ca_file: Path

    def url(self, role: str) -> str:
        """The address of one of `ROLES`."""
        user = user_of(role)
        return f"clickhouse://{user}:{PASSWORD.format(user=user)}@127.0.0.1:{self.port}/?secure=1"


def user_of(role: str) -> str:
    return role if role == "analyst" else f"journeys_{role}"


def read_grants() -> dict[str, list[str]]:
    """What users.sql grants, by user. The embedded server takes users from its configuration only, not as SQL."""
    text = re.sub(r"--[^\n]*", "", USERS_FILE.read_text("utf-8"))
    grants: defaultdict[str, list[str]] = defaultdict(list)
    for statement in text.split(";"):
        granted = re.fullmatch(r"\s*(GRANT .*) TO (\w+)\s*", statement, re.DOTALL)
        if granted:
            grants[granted[2]].append(granted[1])
    return dict(grants)


def make_users() -> dict[str, Any]:
    """`users.xml` with these users beside the server's own."""
    settings: dict[str, Any] = dict(clickhouse.user_settings({clickhouse.WRITER: "w", clickhouse.ANALYST: "a"}))
    users: dict[str, Any] = dict(settings["users"])
    for user, grants in read_grants().items():
        profile = "reader" if user == "analyst" else "writer"
        made = clickhouse._user(profile, PASSWORD.format(user=user))
        users[user] = {**made, "grants": {"query": grants}}
    return {**settings, "users": users}


@contextmanager
def secured_clickhouse(directory: Path) -> Iterator[Secured]:
    """Start it under `directory`."""
    authority = trustme.CA()
    ca_file = directory / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    ports = choose_ports({"clickhouse_port": 0, "clickhouse_http_port": 0})
    home, logs = directory / "clickhouse", directory / "log"
    logs.mkdir(parents=True, exist_ok=True)
    passwords = {clickhouse.WRITER: "w", clickhouse.ANALYST: "a"}
    spec = clickhouse.clickhouse_spec(home, logs, ports["clickhouse_port"], ports["clickhouse_http_port"], passwords)
    write_private(home / "users.xml", clickhouse.render(make_users()))
    supervisor = Supervisor(logs)
    supervisor.start([spec])
    try:
        with TlsProxy(ports["clickhouse_port"], context) as proxy:
            yield Secured(proxy.port, ports["clickhouse_port"], ca_file)
    finally:
        supervisor.stop()
