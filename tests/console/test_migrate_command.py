"""`journeys migrate` as people run it, on a ClickHouse of its own; most of it needs no Kafka, and there is none."""

from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from console.migration_targets import Missing, check_missing
from deploy.local.stack import LocalStack
from deploy.services import clickhouse_client_options
from schemas.errors import Misconfigured
from schemas.settings import Settings
from sinks.migrate import read_migrations
from sinks.writer import ClickHouseWriter
from tests.console.running import journeys, one_line

pytestmark = pytest.mark.integration
LAST = read_migrations()[-1].version


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with LocalStack(tmp_path_factory.mktemp("migrate"), run_kafka=False) as running:
        yield running


def run(server: LocalStack, directory: Path, *arguments: str) -> CompletedProcess[str]:
    changed = {"JOURNEYS_CLICKHOUSE": server.clickhouse_url, "JOURNEYS_KAFKA": "127.0.0.1:1"}
    return journeys("migrate", *arguments, cwd=directory, changed=changed)


def test_a_schema_is_planned_run_in_part_listed_and_checked(server: LocalStack, tmp_path: Path) -> None:
    planned = run(server, tmp_path, "--plan", "--up-to", "2").stdout
    assert planned.startswith("-- 0001_base_tables.sql") and "-- 0002_" in planned and "-- 0003_" not in planned
    done = run(server, tmp_path, "--up-to", "2")
    assert done.returncode == 0 and done.stdout.splitlines() == [
        "run      0001_base_tables.sql",
        "run      0002_analyst_views.sql",
        f"all migrations up to 2 have run; {LAST - 2} later ones are pending; topics were not looked at",
    ]
    lines = run(server, tmp_path, "--list").stdout.splitlines()
    assert len(lines) == LAST and lines[2].split() == ["pending", "0003_rule_engine.sql"]
    assert lines[1].startswith("20") and lines[1].endswith("  0002_analyst_views.sql")
    checked = run(server, tmp_path, "--check")
    assert (checked.returncode, checked.stdout) == (
        0,
        f"the schema is what the 2 migrations that have run made of it; {LAST - 2} are pending\n",
    )
    writer = ClickHouseWriter({**clickhouse_client_options(server.clickhouse_url, Settings()), "database": "default"})
    writer.query("DROP VIEW analytics.alerts")
    writer.close()
    broken = run(server, tmp_path, "--check")
    assert broken.returncode == 1
    assert broken.stdout.startswith("analytics.alerts is missing: `journeys migrate --repair` makes it again")
    repaired = run(server, tmp_path, "--repair")
    assert (repaired.returncode, repaired.stdout) == (0, "made     analytics.alerts\n")
    assert run(server, tmp_path, "--check").returncode == 0
    assert run(server, tmp_path, "--repair").stdout == "nothing is missing\n"


def test_what_somebody_has_dropped_is_told_with_what_to_do() -> None:
    check_missing([])
    views = [Missing(f"analytics.v{number}", is_view=True) for number in range(7)]
    with pytest.raises(Misconfigured, match=r"dropped analytics\.v0.*v4 and 2 more: `journeys migrate --repair` makes"):
        check_missing(views)
    with pytest.raises(Misconfigured, match=r"^missing with all rows: journeys\.facts: `journeys migrate --check`"):
        check_missing([*views, Missing("journeys.facts", is_view=False)])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--up-to", "4711"), "there is no migration 4711"),
        (("--cluster", "none"), "the server knows no cluster 'none'"),
        (("--check", "--list"), "give one of --list and --check"),
    ],
)
def test_misuse_is_one_line(arguments: tuple[str, ...], told: str, server: LocalStack, tmp_path: Path) -> None:
    done = run(server, tmp_path, *arguments)
    assert done.returncode == 1 and told in one_line(done.stderr)
