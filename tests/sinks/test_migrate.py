import logging
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import JourneysError, Misconfigured, Terminal, Transient
from sinks.migrate import MIGRATIONS, Migration, migrate, pending, plan, read_migrations
from sinks.tables import TABLES
from sinks.writer import ClickHouseWriter

REPEATABLE = re.compile(
    r"CREATE \w+( \w+)? IF NOT EXISTS |CREATE OR REPLACE |DROP \w+ IF EXISTS "
    r"|INSERT INTO (?P<replacing>\S+) SELECT \* FROM (?P=replacing) "
    r"|ALTER TABLE \S+ (ADD \w+ IF NOT EXISTS|DROP \w+ IF EXISTS|MODIFY|MATERIALIZE|COMMENT COLUMN) "
)
ONCE_ONLY = re.compile(r"\b(ADD|DROP) (COLUMN|INDEX) (?!IF )")


@pytest.fixture
def empty(options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Options for a server without any of our databases."""
    writer = ClickHouseWriter({**options, "database": "default"})
    for database in ("analytics", "journeys"):
        writer.query(f"DROP DATABASE IF EXISTS {database} SYNC")
    yield options
    for database in ("analytics", "journeys"):
        writer.query(f"DROP DATABASE IF EXISTS {database} SYNC")
    writer.close()


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
