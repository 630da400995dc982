"""Brings the schema of a ClickHouse server up to what this version needs.

Migrations are the numbered SQL files in `migrations/`. Which of them have run, and with which content, is kept in
`journeys.schema_versions`. Every statement can be repeated without harm, so a run that was cut off is simply run again,
and two runs at once end up where one would have; `tests/sinks/test_migrate.py` holds the files to that.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clickhouse_migrations.connection import ClickhouseDriverConnection
from clickhouse_migrations.exceptions import MigrationException
from clickhouse_migrations.migration import MigrationStorage
from clickhouse_migrations.migrator import (
    MIGRATION_LOG_FORMAT_COMPACT,
    STATUS_MD5_MISMATCH,
    STATUS_PENDING,
    STATUS_UNKNOWN,
    Migrator,
)

from schemas.errors import Misconfigured
from sinks.connection import classify, connect, explain

MIGRATIONS = Path(__file__).parent / "migrations"
TABLE = "journeys.schema_versions"


@dataclass(frozen=True)
class Migration:
    """One file of `directory`: `name` is the file's, `sql` its content."""

    version: int
    name: str
    sql: str

    @property
    def statements(self) -> list[str]:
        """Its statements, without the semicolons between them."""
        return list(Migrator.script_to_statements(self.sql, multi_statement=True))


def migrate(options: Mapping[str, Any], directory: Path = MIGRATIONS) -> list[Migration]:
    """Run what is pending, in order, and return it; nothing pending is fine.

    Raises `Misconfigured` when the server's history and the files do not fit together (nothing is run then),
    `Transient` or `Terminal` when the server fails; a file that had begun is then run again from its top next time.
    """
    with _migrator(options) as (connection, migrator):
        due = _pending(connection, migrator, directory)
        if due:
            connection.command("CREATE DATABASE IF NOT EXISTS journeys")
            migrator.init_schema()
            run = migrator.apply_migration(MigrationStorage(directory).migrations(), multi_statement=True)
            due = [each for each in due if each.version in {one.version for one in run}]
        return due


def pending(options: Mapping[str, Any], directory: Path = MIGRATIONS) -> list[Migration]:
    """What `migrate` would run. Only reads; raises as `migrate` does."""
    with _migrator(options) as (connection, migrator):
        return _pending(connection, migrator, directory)


def plan(options: Mapping[str, Any], directory: Path = MIGRATIONS) -> str:
    """The SQL that `migrate` would run, with a comment line above each file's; empty when nothing is pending."""
    return "\n".join(f"-- {each.name}\n{each.sql.strip()}\n" for each in pending(options, directory))


def read_migrations(directory: Path = MIGRATIONS) -> list[Migration]:
    """All migrations in `directory`, in order. Raises `Misconfigured` for a bad or doubled number."""
    try:
        storage = MigrationStorage(directory)
        names = storage.migration_filenames()
        return [Migration(each.version, names[each.version], each.script) for each in storage.migrations()]
    except MigrationException as error:
        raise Misconfigured(f"migrations: {explain(error)}") from error


def _pending(connection: ClickhouseDriverConnection, migrator: Migrator, directory: Path) -> list[Migration]:
    files = read_migrations(directory)
    if not connection.query(f"EXISTS TABLE {TABLE}")[0]["result"]:
        return files
    status = {row.version: row.state for row in migrator.migration_status(MigrationStorage(directory).migrations())}
    names = {each.version: each.name for each in files}
    for version, state in status.items():
        if state == STATUS_UNKNOWN:
            raise Misconfigured(
                f"the server has run migration {version}, which this version does not have: use the newer version"
            )
        if state == STATUS_MD5_MISMATCH:
            raise Misconfigured(
                f"{names[version]} was changed after it was run: restore the file and put the change into a new one"
            )
    return [each for each in files if status[each.version] == STATUS_PENDING]


@contextmanager
def _migrator(options: Mapping[str, Any]) -> Iterator[tuple[ClickhouseDriverConnection, Migrator]]:
    # The database that the options name may be the one that is still to be made.
    client = connect({**options, "database": "default"})
    connection = ClickhouseDriverConnection(client)
    try:
        with _unconfigured_logging():
            yield connection, Migrator(connection, False, MIGRATION_LOG_FORMAT_COMPACT, TABLE)
    except MigrationException as error:
        raise Misconfigured(f"migrations: {explain(error)}") from error
    except Misconfigured:
        raise
    except Exception as error:
        raise classify(error) from error
    finally:
        client.disconnect()


@contextmanager
def _unconfigured_logging() -> Iterator[None]:
    """The library logs through `logging.info`, which would set up the root logger for the whole process."""
    handler = logging.NullHandler()
    logging.root.addHandler(handler)
    try:
        yield
    finally:
        logging.root.removeHandler(handler)
