import logging
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import JourneysError, Misconfigured, Terminal, Transient
from sinks.migrate import MIGRATIONS, Migration, check_space, migrate, pending, plan, read_migrations, run_times
from sinks.tables import TABLES
from sinks.writer import ClickHouseWriter
from tests.sinks.emptied import emptied

REPEATABLE = re.compile(
    r"CREATE \w+( \w+)? IF NOT EXISTS |CREATE OR REPLACE |DROP \w+ IF EXISTS "
    r"|INSERT INTO (?P<replacing>\S+) SELECT \* FROM (?P=replacing) "
    r"|ALTER TABLE \S+ (ADD \w+ IF NOT EXISTS|DROP \w+ IF EXISTS|MODIFY|MATERIALIZE|COMMENT COLUMN) "
)
ONCE_ONLY = re.compile(r"\b(ADD|DROP) (COLUMN|INDEX) (?!IF )")


@pytest.fixture
def empty(options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Options for a server without any of our databases."""
    with emptied(options):
        yield options


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A copy of the migrations that a test may change."""
    return Path(shutil.copytree(MIGRATIONS, tmp_path / "migrations"))


def names(migrations: list[Migration]) -> list[str]:
    return [each.name for each in migrations]


def tables(options: dict[str, Any]) -> set[str]:
    writer = ClickHouseWriter({**options, "database": "default"})
    rows = writer.query("SELECT database || '.' || name FROM system.tables WHERE database IN ('journeys', 'analytics')")
    writer.close()
    return {name for (name,) in rows}


def with_rows(options: dict[str, Any], *inserts: str) -> None:
    writer = ClickHouseWriter({**options, "database": "default"})
    for insert in inserts:
        writer.query(insert)
    writer.close()


@pytest.mark.integration
def test_an_empty_server_gets_everything_once(empty: dict[str, Any]) -> None:
    every = names(read_migrations())
    assert names(pending(empty)) == every
    assert tables(empty) == set()
    assert names(migrate(empty)) == every
    assert tables(empty) >= {table.name for table in TABLES} | {"analytics.journeys", "journeys.schema_versions"}
    assert migrate(empty) == pending(empty) == []


@pytest.mark.integration
def test_a_new_file_is_pending_and_run_alone(empty: dict[str, Any], directory: Path) -> None:
    migrate(empty, directory)
    (directory / "9000_more.sql").write_text("CREATE TABLE IF NOT EXISTS journeys.more (n UInt8) ENGINE = Memory;\n")
    assert names(pending(empty, directory)) == ["9000_more.sql"]
    assert plan(empty, directory).startswith("-- 9000_more.sql\nCREATE TABLE")
    assert "journeys.more" not in tables(empty)
    assert names(migrate(empty, directory)) == ["9000_more.sql"]
    assert "journeys.more" in tables(empty)
    assert plan(empty, directory) == ""


@pytest.mark.integration
def test_up_to_a_number_runs_no_more_than_that(empty: dict[str, Any]) -> None:
    assert [each.version for each in pending(empty, up_to=2)] == [1, 2]
    assert "0003_" not in plan(empty, up_to=2)
    assert [each.version for each in migrate(empty, up_to=2)] == [1, 2]
    assert migrate(empty, up_to=1) == migrate(empty, up_to=2) == []
    assert sorted(run_times(empty)) == [1, 2]
    assert [each.version for each in migrate(empty)] == [each.version for each in read_migrations()][2:]


@pytest.mark.integration
def test_up_to_a_number_that_does_not_exist_runs_nothing(empty: dict[str, Any]) -> None:
    for look in (pending, migrate, plan):
        with pytest.raises(Misconfigured, match="there is no migration 4711: the last is"):
            look(empty, up_to=4711)
    assert tables(empty) == set()
    assert run_times(empty) == {}


@pytest.mark.integration
def test_what_would_cost_data_is_run_only_when_allowed(empty: dict[str, Any], directory: Path) -> None:
    migrate(empty, directory)
    name = "9000_drop.sql"
    (directory / name).write_text(
        "-- Why.\nALTER TABLE journeys.forgotten ADD COLUMN IF NOT EXISTS why String;\n"
        "-- Not needed.\nTRUNCATE TABLE IF EXISTS journeys.forgotten;\n"
    )
    assert "DANGEROUS" not in plan(empty, directory)
    with_rows(empty, "INSERT INTO journeys.forgotten VALUES ('a', 'r', now64(3)), ('b', 'r', now64(3))")
    planned = plan(empty, directory)
    assert "-- Not needed.\n-- DANGEROUS deletes all rows: journeys.forgotten: 2 rows, " in planned
    assert planned.count("DANGEROUS") == 1
    with pytest.raises(Misconfigured) as refused:
        migrate(empty, directory)
    for part in (name, "TRUNCATE TABLE IF EXISTS journeys.forgotten;", "2 rows", "--plan", "--allow-dangerous"):
        assert part in str(refused.value)
    assert names(pending(empty, directory)) == [name]
    assert names(migrate(empty, directory, allow_dangerous=True)) == [name]
    assert names(pending(empty, directory)) == []


@pytest.mark.integration
def test_a_file_changed_after_it_was_run_is_refused_by_name(empty: dict[str, Any], directory: Path) -> None:
    migrate(empty, directory)
    changed = directory / read_migrations()[0].name
    changed.write_text(changed.read_text() + "\n-- changed\n")
    for look in (pending, migrate, plan):
        with pytest.raises(Misconfigured, match=f"{changed.name} was changed after it was run"):
            look(empty, directory)


@pytest.mark.integration
def test_a_server_that_is_ahead_is_refused(empty: dict[str, Any], directory: Path) -> None:
    migrate(empty, directory)
    (directory / read_migrations()[-1].name).unlink()
    with pytest.raises(Misconfigured, match="use the newer version"):
        migrate(empty, directory)


@pytest.mark.integration
def test_a_migration_that_fails_is_run_again_from_its_top(empty: dict[str, Any], directory: Path) -> None:
    migrate(empty, directory)
    bad = directory / "9000_bad.sql"
    first = "CREATE TABLE IF NOT EXISTS journeys.first (n UInt8) ENGINE = Memory;\n"
    bad.write_text(first + "CREATE TABLE IF NOT EXISTS journeys.second (n NoSuchType) ENGINE = Memory;\n")
    with pytest.raises(Terminal, match="NoSuchType"):
        migrate(empty, directory)
    assert names(pending(empty, directory)) == ["9000_bad.sql"]
    bad.write_text(first)
    assert names(migrate(empty, directory)) == ["9000_bad.sql"]


@pytest.mark.integration
def test_two_runs_at_once_end_up_where_one_would(empty: dict[str, Any]) -> None:
    errors: list[JourneysError] = []

    def run() -> None:
        try:
            migrate(empty)
        except JourneysError as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert migrate(empty) == []
    assert {table.name for table in TABLES} <= tables(empty)


def test_a_server_that_is_not_there_is_one_line() -> None:
    with pytest.raises(Transient, match="ClickHouse cannot be reached") as caught:
        migrate({"host": "127.0.0.1", "port": 1})
    assert "\n" not in str(caught.value)


def test_logging_is_left_as_it_was() -> None:
    before = list(logging.root.handlers)
    with pytest.raises(Transient):
        pending({"host": "127.0.0.1", "port": 1})
    assert logging.root.handlers == before


def test_a_file_without_a_number_or_with_one_twice_is_refused(directory: Path) -> None:
    (directory / "0001_again.sql").write_text("SELECT 1")
    with pytest.raises(Misconfigured, match="0001_again"):
        read_migrations(directory)
    (directory / "0001_again.sql").rename(directory / "later.sql")
    with pytest.raises(Misconfigured, match=r"later\.sql"):
        read_migrations(directory)


def test_every_statement_can_be_repeated_and_names_its_database() -> None:
    for migration in read_migrations():
        for statement in migration.statements:
            first_line = " ".join(re.sub(r"^--.*$", "", statement, flags=re.MULTILINE).split())[:200]
            assert REPEATABLE.match(first_line), f"{migration.name}: {first_line}"
            assert re.search(r"\b(journeys|analytics)\b", first_line), f"{migration.name}: {first_line}"
            assert not ONCE_ONLY.search(statement), f"{migration.name}: {first_line}"


def test_tables_are_not_changed_where_the_disk_is_almost_full() -> None:
    check_space(64 << 20)
    with pytest.raises(Misconfigured, match="disk has 63 MiB left, and at least 64 MiB must be free.*Free some space"):
        check_space((64 << 20) - 1)
