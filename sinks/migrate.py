"""Brings the schema of a ClickHouse server up to what this version needs.

Migrations are the numbered SQL files in `migrations/`. Which of them have run, and with which content, is kept in
`journeys.schema_versions`. Every statement can be repeated without harm, so a run that was cut off is simply run again,
and two runs at once end up where one would have; `tests/sinks/test_migrate.py` holds the files to that.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
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
    split_statement_tokens,
)

from schemas.errors import Misconfigured
from sinks.connection import classify, connect, explain
from sinks.migration_guard import Danger, Guard

MIGRATIONS = Path(__file__).parent / "migrations"
TABLE = "journeys.schema_versions"
SPREAD_SQL = """SELECT countIf(engine = 'Distributed'), countIf(engine = 'ReplacingMergeTree')
FROM system.tables WHERE database = 'journeys' AND name = 'touchpoints'"""


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


@dataclass(frozen=True)
class Form:
    """In which form the files are run: `rewrite` gives each migration the SQL for this kind of server."""

    is_spread: bool
    rewrite: Callable[[Sequence[Migration]], list[Migration]]


LEAST_FREE_BYTES = 64 << 20

AS_WRITTEN = Form(is_spread=False, rewrite=list)
"""The form for a single server."""


def migrate(
    options: Mapping[str, Any],
    directory: Path = MIGRATIONS,
    *,
    up_to: int | None = None,
    allow_dangerous: bool = False,
    form: Form = AS_WRITTEN,
) -> list[Migration]:
    """Run what is pending, in order, none above number `up_to`, and return it; nothing pending is fine.

    Raises `Misconfigured` when the server's history and the files do not fit together, there is no migration `up_to`,
    its disk is almost full, or something pending would cost data and is not allowed to (nothing is run then);
    `Transient` or `Terminal` when the server fails; a file that had begun is then run again from its top next time.
    """
    with _migrator(options) as (connection, migrator):
        check_form(connection.execute, form)
        due = _pending(connection, migrator, directory, form, up_to)
        if due:
            check_space(connection.execute("SELECT filesystemAvailable()")[0][0])
            check_dangers([] if allow_dangerous else _dangers(connection, due))
            connection.command("CREATE DATABASE IF NOT EXISTS journeys")
            migrator.init_schema()
            scripts = {each.version: each.sql for each in due}
            files = MigrationStorage(directory).migrations()
            run = migrator.apply_migration(
                [each._replace(script=scripts.get(each.version, each.script)) for each in files],
                multi_statement=True, to_version=up_to,
            )  # fmt: skip
            due = [each for each in due if each.version in {one.version for one in run}]
        return due


def pending(
    options: Mapping[str, Any], directory: Path = MIGRATIONS, *, up_to: int | None = None, form: Form = AS_WRITTEN
) -> list[Migration]:
    """What `migrate` would run. Only reads; raises as `migrate` does, but for what is dangerous."""
    with _migrator(options) as (connection, migrator):
        return _pending(connection, migrator, directory, form, up_to)


def plan(
    options: Mapping[str, Any], directory: Path = MIGRATIONS, *, up_to: int | None = None, form: Form = AS_WRITTEN
) -> str:
    """The SQL that `migrate` would run, with a comment line above each file's; empty when nothing is pending.

    Above each statement that would cost data stands a comment that begins with `-- DANGEROUS`. Raises as `pending`.
    """
    with _migrator(options) as (connection, migrator):
        check_form(connection.execute, form)
        due = _pending(connection, migrator, directory, form, up_to)
        guard = Guard(connection.execute)
        return "\n".join(f"-- {each.name}\n{_marked(each, guard)}\n" for each in due)


def dangers(
    options: Mapping[str, Any], directory: Path = MIGRATIONS, *, up_to: int | None = None, form: Form = AS_WRITTEN
) -> list[Danger]:
    """What `migrate` would refuse to run unless it is allowed to. Only reads; raises as `pending` does."""
    with _migrator(options) as (connection, migrator):
        check_form(connection.execute, form)
        return _dangers(connection, _pending(connection, migrator, directory, form, up_to))


def check_dangers(dangers: Sequence[Danger]) -> None:
    """Raise `Misconfigured`, with what to do, if there are any."""
    if dangers:
        more = f" (and {len(dangers) - 1} more)" if len(dangers) > 1 else ""
        raise Misconfigured(
            f"nothing was run, as {dangers[0]}{more}: see `journeys migrate --plan`, make a backup, then give "
            "--allow-dangerous"
        )


def run_times(options: Mapping[str, Any]) -> dict[int, datetime]:
    """When each migration that has run was first run, by number; naive, in the server's time zone. Only reads."""
    with _migrator(options) as (connection, _):
        if not _has_history(connection):
            return {}
        rows = connection.execute(f"SELECT version, min(created_at) FROM {TABLE} GROUP BY version")
        return dict(rows)


def read_migrations(directory: Path = MIGRATIONS) -> list[Migration]:
    """All migrations in `directory`, in order. Raises `Misconfigured` for a bad or doubled number."""
    try:
        storage = MigrationStorage(directory)
        names = storage.migration_filenames()
        return [Migration(each.version, names[each.version], each.script) for each in storage.migrations()]
    except MigrationException as error:
        raise Misconfigured(f"migrations: {explain(error)}") from error


def _pending(
    connection: ClickhouseDriverConnection, migrator: Migrator, directory: Path, form: Form, up_to: int | None
) -> list[Migration]:
    files = read_migrations(directory)
    names = {each.version: each.name for each in files}
    if up_to is not None and up_to not in names:
        raise Misconfigured(f"there is no migration {up_to}: the last is {max(names, default=0)} (`--list` shows all)")
    rewritten = [each for each in form.rewrite(files) if up_to is None or each.version <= up_to]
    if not _has_history(connection):
        return rewritten
    status = {row.version: row.state for row in migrator.migration_status(MigrationStorage(directory).migrations())}
    for version, state in status.items():
        if state == STATUS_UNKNOWN:
            raise Misconfigured(
                f"the server has run migration {version}, which this version does not have: use the newer version"
            )
        if state == STATUS_MD5_MISMATCH:
            raise Misconfigured(
                f"{names[version]} was changed after it was run: restore the file and put the change into a new one"
            )
    return [each for each in rewritten if status[each.version] == STATUS_PENDING]


def _has_history(connection: ClickhouseDriverConnection) -> bool:
    return bool(connection.query(f"EXISTS TABLE {TABLE}")[0]["result"])


def check_form(execute: Callable[[str], Any], form: Form) -> None:
    """Raise `Misconfigured` for a mix of the two forms: an ALTER meant for one would leave the other half-changed."""
    spread, single = execute(SPREAD_SQL)[0]
    if spread and not form.is_spread:
        raise Misconfigured("this server's tables are spread over a cluster: name it with --cluster")
    if single and form.is_spread:
        raise Misconfigured(
            "this server holds the tables of a single server: migrate a cluster whose servers are empty, and copy"
        )


def check_space(free_bytes: int) -> None:
    """Raises `Misconfigured` when there is too little for a change of tables to be safe."""
    if free_bytes < LEAST_FREE_BYTES:
        raise Misconfigured(
            f"ClickHouse's disk has {free_bytes >> 20} MiB left, and at least {LEAST_FREE_BYTES >> 20} MiB must be "
            "free: a server whose disk fills up while its tables are changed may not start again. Free some space first"
        )


def _dangers(connection: ClickhouseDriverConnection, due: Sequence[Migration]) -> list[Danger]:
    guard = Guard(connection.execute)
    return [danger for each in due for danger in guard.dangers(each.name, each.statements)]


def _marked(migration: Migration, guard: Guard) -> str:
    """Its SQL with a comment above each statement that would cost data."""
    sql = migration.sql
    for tokens in reversed(split_statement_tokens(sql)):
        statement = "".join(token.text for token in tokens)
        marks = [f"-- DANGEROUS {each.reason}\n" for each in guard.dangers(migration.name, [statement])]
        code = next(each for each in tokens if not each.kind.endswith("comment") and each.text.strip())
        start = code.offset + len(code.text) - len(code.text.lstrip())
        sql = sql[:start] + "".join(marks) + sql[start:]
    return sql.strip()


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
