"""All of the platform over SASL/SCRAM and TLS: producers, workers, administration, and ClickHouse behind TLS."""

import json
import time
from pathlib import Path

import pytest

from schemas.moments import format_epoch_ms
from tests.console.running import environment, journeys, one_line
from tests.integration.harness import WorkerProcess, wait_until
from tests.integration.secured import secured_clickhouse
from tests.integration.secured_kafka import PASSWORD, secured_kafka

pytestmark = [pytest.mark.faults, pytest.mark.apache_kafka, pytest.mark.timeout(360)]


def viewed(number: int) -> str:
    now_ms = time.time_ns() // 1_000_000
    touchpoint = {
        "event_id": f"e-{number}", "source": "web", "type": "page_viewed", "occurred_at": format_epoch_ms(now_ms),
        "identifiers": {"customer_id": f"C-{number % 7}"}, "properties": {"url": "/"},
    }  # fmt: skip
    return json.dumps(touchpoint)


def test_everything_goes_over_tls_and_a_login(tmp_path: Path) -> None:
    kafka_directory, clickhouse_directory = tmp_path / "k", tmp_path / "c"
    kafka_directory.mkdir()
    clickhouse_directory.mkdir()
    with secured_kafka(kafka_directory) as kafka, secured_clickhouse(clickhouse_directory) as clickhouse:
        told = {
            **kafka,
            "JOURNEYS_CLICKHOUSE": clickhouse.url("admin"),
            "JOURNEYS_CLICKHOUSE_CA_FILE": str(clickhouse.ca_file),
            "JOURNEYS_DATA_DIR": str(tmp_path),
            "JOURNEYS_SESSION_TIMEOUT": "3s",
            "JOURNEYS_METRICS_PORT": "0",
        }

        def run(*arguments: str, stdin: str = "") -> str:
            done = journeys(*arguments, cwd=tmp_path, stdin=stdin, changed=told)
            assert done.returncode == 0, (arguments, done.stdout, done.stderr)
            assert PASSWORD not in done.stdout + done.stderr
            return done.stdout

        run("migrate")
        worker = WorkerProcess("worker", tmp_path, environment(**told), "tests.integration.worker_process")
        try:
            run("emit", stdin="\n".join(map(viewed, range(50))) + "\n")
            count = "SELECT count() FROM analytics.touchpoints"
            wait_until(lambda: run("sql", count, "--format", "csv").split()[-1] == "50", "all of them", every=0.5)
            run("status")
            run("doctor")
            assert '"is_right": true' in run("reconcile", "--format", "json")
            assert worker.exit_code is None
        finally:
            worker.kill()
            print(worker.last_log_lines())
        assert PASSWORD not in worker.log.read_text("utf-8", "replace")

        for changed, hint in (
            ({"JOURNEYS_KAFKA_PASSWORD": "wrong-one"}, "refuses the login"),
            ({"JOURNEYS_KAFKA_CA_FILE": str(clickhouse.ca_file)}, "certificate is not trusted"),
            ({"JOURNEYS_KAFKA_SASL_MECHANISM": "PLAIN"}, "knows no login by PLAIN"),
        ):
            done = journeys("emit", cwd=tmp_path, stdin=viewed(99) + "\n", changed={**told, **changed})
            assert done.returncode != 0
            line = one_line(done.stderr.strip())
            assert hint in line and "wrong-one" not in line and PASSWORD not in line
