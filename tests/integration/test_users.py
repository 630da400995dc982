"""Least privilege over TLS: each user of `deploy/clickhouse/users.sql` can do its work, and nothing beside it."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from deploy.local.stack import LocalStack
from deploy.services import clickhouse_client_options
from schemas.errors import JourneysError
from schemas.moments import format_epoch_ms
from schemas.settings import Settings
from sinks.writer import ClickHouseWriter
from tests.console.running import environment, journeys, one_line
from tests.integration.harness import WorkerProcess, wait_until
from tests.integration.secured import PASSWORD, ROLES, Secured, secured_clickhouse, user_of

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]


def changed(secured: Secured, kafka: str, role: str, **more: str) -> dict[str, str]:
    return {
        "JOURNEYS_KAFKA": kafka,
        "JOURNEYS_CLICKHOUSE": secured.url(role),
        "JOURNEYS_CLICKHOUSE_CA_FILE": str(secured.ca_file),
        **more,
    }


def ask(secured: Secured, role: str, sql: str) -> list[tuple[Any, ...]]:
    settings = Settings(clickhouse_ca_file=secured.ca_file)
    writer = ClickHouseWriter(clickhouse_client_options(secured.url(role), settings))
    try:
        return writer.query(sql)
    finally:
        writer.close()


def waiting(number: int, at_ms: int) -> str:
    touchpoint = {
        "event_id": f"e-{number}", "source": "store", "type": "queue_joined", "occurred_at": format_epoch_ms(at_ms),
        "store_id": "S-1", "identifiers": {"customer_id": f"C-{number}"}, "properties": {"queue": "tills"},
    }  # fmt: skip
    return json.dumps(touchpoint)


FORBIDDEN = {
    "worker": (
        "DROP TABLE journeys.touchpoints", "CREATE TABLE journeys.more (a UInt8) ENGINE = Memory",
        "ALTER TABLE journeys.alerts DELETE WHERE 1", "TRUNCATE TABLE journeys.journeys",
        "DROP VIEW analytics.journeys", "CREATE USER more", "SELECT name FROM system.users",
    ),
    "console": (
        "INSERT INTO journeys.touchpoints (customer_id) SELECT 'C'", "DROP TABLE journeys.touchpoints",
        "INSERT INTO journeys.customer_state (customer_key) SELECT 'C'", "ALTER TABLE journeys.alerts DELETE WHERE 1",
    ),
    "eraser": (
        "INSERT INTO journeys.touchpoints (customer_id) SELECT 'C'", "DROP TABLE journeys.touchpoints",
        "TRUNCATE TABLE journeys.journeys", "ALTER TABLE journeys.alerts ADD COLUMN more UInt8", "CREATE USER more",
    ),
    "analyst": (
        "SELECT count() FROM journeys.touchpoints", "SELECT count() FROM journeys.customer_state",
        "INSERT INTO journeys.alert_actions (action_id) SELECT 'A'", "DROP VIEW analytics.journeys",
        "SELECT 1 SETTINGS max_execution_time = 3600", "SELECT count() FROM journeys.dead_letters",
    ),
    "admin": ("CREATE USER more", "GRANT SELECT ON *.* TO analyst", "SELECT count() FROM system.users"),
}  # fmt: skip


def test_each_user_does_its_work_over_tls_and_nothing_else(tmp_path: Path) -> None:
    with (
        LocalStack(tmp_path / "kafka", run_clickhouse=False) as stack,
        secured_clickhouse(tmp_path) as secured,
    ):

        def run(role: str, *arguments: str, stdin: str = "", **more: str) -> str:
            done = journeys(*arguments, cwd=tmp_path, stdin=stdin, changed=changed(secured, stack.kafka, role, **more))
            assert done.returncode == 0, (arguments, done.stdout, done.stderr)
            return done.stdout

        run("admin", "migrate")
        quick = {"JOURNEYS_METRICS_PORT": "0", "JOURNEYS_SESSION_TIMEOUT": "3s", "JOURNEYS_DATA_DIR": str(tmp_path)}
        told = environment(**changed(secured, stack.kafka, "worker"), **quick)
        worker = WorkerProcess("worker", tmp_path, told, "tests.integration.worker_process")
        try:
            now_ms = time.time_ns() // 1_000_000
            lines = "\n".join(waiting(number, now_ms - 3_600_000) for number in range(5))
            run("console", "emit", stdin=lines + "\n")
            alerts = "SELECT episode_id FROM analytics.alerts WHERE rule = 'long_wait'"
            wait_until(lambda: len(ask(secured, "analyst", alerts)) == 5, "the alerts, as the analyst sees them")
            [(episode, *_), *_] = ask(secured, "analyst", alerts)
            run("console", "alerts", "ack", str(episode), "--by", "dana")
            run("console", "reconcile")
            run("console", "alerts", "list")
            run("console", "rules", "backtest")
            run("analyst", "sql", "SELECT count() FROM analytics.journeys")
            # Whether the worker has obeyed in time is not the question here.
            order = ("forget", "C-0", "--yes", "--wait", "1s", "--json")
            erased = json.loads(journeys(*order, cwd=tmp_path, changed=changed(secured, stack.kafka, "eraser")).stdout)
            assert erased["found"] > 0 and erased["left"].keys() <= {"topic identity-links"}, erased
            assert [each for each in erased["beyond"] if each["name"].startswith("replaced files")] == []
            assert worker.exit_code is None
        finally:
            worker.kill()
            print(worker.last_log_lines())
        for role in ROLES:
            for statement in FORBIDDEN[role]:
                with pytest.raises(JourneysError, match=r"(?i)not enough privileges|shouldn't be greater"):
                    ask(secured, role, statement)


def test_a_wrong_password_or_certificate_is_one_line_without_the_password(tmp_path: Path) -> None:
    with (
        LocalStack(tmp_path / "kafka", run_clickhouse=False) as stack,
        secured_clickhouse(tmp_path) as secured,
    ):
        right = changed(secured, stack.kafka, "admin")
        secret = PASSWORD.format(user=user_of("admin"))
        other = {**right, "JOURNEYS_CLICKHOUSE": right["JOURNEYS_CLICKHOUSE"].replace(secret, "another-secret")}
        distrusted = {name: value for name, value in right.items() if not name.endswith("CA_FILE")}
        unsecured = right["JOURNEYS_CLICKHOUSE"].replace(str(secured.port), str(secured.plain_port))
        plain = {**right, "JOURNEYS_CLICKHOUSE": unsecured}
        for told, hint in ((other, "password"), (distrusted, "certificate"), (plain, "ClickHouse")):
            done = journeys("migrate", cwd=tmp_path, changed=told)
            assert done.returncode != 0, hint
            line = one_line(done.stderr)
            assert hint in line and secret not in line and "another-secret" not in line, line
