"""`journeys rebuild`: whose journeys are meant, on a ClickHouse of its own with no Kafka: nothing is asked for."""

import json
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from console.rebuilding import Choice
from deploy.local.stack import LocalStack
from deploy.services import clickhouse_client_options
from schemas.errors import Misconfigured
from schemas.identifiers import Pseudonymiser
from schemas.settings import Settings
from sinks.migrate import migrate
from sinks.tables import IDENTITY_OWNERS, TOUCHPOINTS
from sinks.writer import ClickHouseWriter
from tests.console.identity_samples import CUSTOMER, SECOND, owner_row
from tests.console.running import one_line, run_here
from tests.sinks.rows import put

KEY, FORMER = "secret", "former"
DANA = "email:" + Pseudonymiser(KEY.encode(), "k1", "IL").hide("email", "dana@example.org")
RINA = "phone:" + Pseudonymiser(FORMER.encode(), "k0", "IL").hide("phone", "050-123-4567")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with LocalStack(tmp_path_factory.mktemp("rebuild"), run_kafka=False) as running:
        options = clickhouse_client_options(running.clickhouse_url, Settings())
        migrate(options)
        writer = ClickHouseWriter(options)
        rows: list[dict[str, Any]] = [
            {"customer_id": name, "source": "web", "event_id": name, "type": "identified"}
            for name in ("C-1", "C-2", "loyalty_id:L-7")
        ]
        put(writer, TOUCHPOINTS, *rows)
        owners = owner_row(DANA, CUSTOMER), owner_row(RINA, "device_id:d-1"), owner_row("device_id:d-1", SECOND)
        put(writer, IDENTITY_OWNERS, *owners, owner_row("device_id:gone", "customer_id:C-99"))
        writer.close()
        yield running


@pytest.fixture
def environment(server: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    keys = {"IDENTIFIER_KEY": KEY, "IDENTIFIER_PREVIOUS_KEYS": json.dumps({"k0": FORMER})}
    for name, value in {"CLICKHOUSE": server.clickhouse_url, "KAFKA": "127.0.0.1:1", **keys}.items():
        monkeypatch.setenv(f"JOURNEYS_{name}", value)


def rebuild(*arguments: str) -> CompletedProcess[str]:
    return run_here("rebuild", "--dry-run", *arguments)


@pytest.mark.integration
@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize(
    ("customers", "count"),
    [
        (["C-1"], 1),
        (["loyalty_id:L-7"], 1),
        (["email:Dana@Example.org"], 1),
        (["email:dana@example.org", "C-1", "C-2"], 2),
        (["phone:+972501234567"], 1),
    ],
)
def test_a_customer_is_found_under_every_identifier(customers: list[str], count: int) -> None:
    done = rebuild("--json", *(part for each in customers for part in ("--customer", each)))
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["customers"] == count


@pytest.mark.integration
@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize(
    ("customer", "told"),
    [
        ("C-9", "nobody is known under C-9: no stored touchpoint belongs to it; `journeys sql` shows who there is"),
        ("d-1", "nobody is known under d-1: no stored touchpoint belongs to it; did you mean device_id:d-1?"),
        ("a@b.org", "nobody is known under a@b.org: no stored touchpoint belongs to it; did you mean email:a@b.org?"),
        ("email:x@y.org", "nobody is known under email:x@y.org: it was hashed as the doors do it, with JOURNEYS_IDENT"),
        ("email:x@y.org", "and looked up as email:hmac-sha256:k1:"),
        ("email:dana", "email:dana cannot be looked for: not an e-mail address"),
        ("device_id:gone", "device_id:gone belongs to C-99, of whom no touchpoint is stored"),
    ],
)
def test_who_is_not_known_is_told(customer: str, told: str) -> None:
    done = rebuild("--customer", "C-1", "--customer", customer)
    assert done.returncode == 1 and done.stdout == "" and told in one_line(done.stderr)


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        (([], None, None, False), "say whose journeys: --customer C-1, or"),
        ((["C-1"], 5, None, False), "give only one of --customer, --since with --until, and --all"),
        ((["C-1"], None, None, True), "give only one of"),
        (([], 5, 6, True), "give only one of"),
        (([], 6, 6, False), "--since must lie before --until"),
    ],
)
def test_one_way_to_choose_has_to_be_taken(chosen: tuple[list[str], int | None, int | None, bool], told: str) -> None:
    customers, since_ms, until_ms, everybody = chosen
    with pytest.raises(Misconfigured, match=f"^{told}"):
        Choice.of(customers, since_ms, until_ms, everybody=everybody)
