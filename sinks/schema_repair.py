"""What the migrations that have run made and is no longer there, and views of it made again.

A view holds no rows, so nothing is lost by making it anew; one that hands rows on to a table has not done so while it
was away, and that is told. A table that is gone took its rows with it, and is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clickhouse_driver import Client
from clickhouse_driver.errors import ErrorCodes, ServerException

from sinks.connection import opened
from sinks.migrate import AS_WRITTEN, MIGRATIONS, Form, Migration, check_form, pending, read_migrations
from sinks.sql_reading import Cursor, read_tokens

THERE_SQL = """SELECT database || '.' || name FROM system.tables WHERE database IN ('journeys', 'analytics')"""
NOT_YET = (ErrorCodes.UNKNOWN_TABLE, ErrorCodes.UNKNOWN_DATABASE)


@dataclass
class Made:
    """A table or view: the statement that made it as it is, and what altered it afterwards.

    `fills` is the table to which a materialised view hands rows on.
    """

    name: str
    is_view: bool
    statements: list[str] = field(default_factory=list)
    fills: str = ""

    @property
    def remade(self) -> str:
        """What there is to say once it has been made again."""
        return f"{self.name}: what was written meanwhile is not in {self.fills}" if self.fills else self.name


def find_missing(options: Mapping[str, Any], directory: Path = MIGRATIONS, *, form: Form = AS_WRITTEN) -> list[Made]:
    """What is not there though its migration has run. Only reads; raises as `migrate.pending` does."""
    run = _read_run(options, directory, form)
    with opened({**options, "database": "default"}) as client:
        return _find_missing(client, run)


def repair(options: Mapping[str, Any], directory: Path = MIGRATIONS, *, form: Form = AS_WRITTEN) -> list[str]:
    """Make views that are missing again, as the newest migration that has run has them; returns a line on each.

    Raises as `migrate.migrate` does, and `Terminal` where something that a view reads is missing.
    """
    run = _read_run(options, directory, form)
    with opened({**options, "database": "default"}) as client:
        check_form(client.execute, form)
        missing = [each for each in _find_missing(client, run) if each.is_view]
        if missing:
            # Nothing else is there when a whole database was dropped.
            for statement in _databases(run):
                client.execute(statement)
        return _make(client, missing)


def read_made(migrations: Iterable[Migration]) -> dict[str, Made]:
    """What migrations make, by full name, in the order in which it got its last form."""
    made: dict[str, Made] = {}
    for statement in (each for migration in migrations for each in migration.statements):
        cursor = Cursor(read_tokens(statement))
        if cursor.take("CREATE"):
            is_anew = cursor.take("OR", "REPLACE")
            is_materialised = cursor.take("MATERIALIZED", "VIEW")
            is_view = is_materialised or cursor.take("VIEW")
            if not is_view and not cursor.take("TABLE"):
                continue
            cursor.skip_existence()
            name = cursor.take_name()
            if is_anew or name not in made:
                made.pop(name, None)
                made[name] = Made(name, is_view, [statement])
                if is_materialised and cursor.take("TO"):
                    made[name].fills = cursor.take_name()
        elif cursor.take("ALTER", "TABLE") and (name := cursor.take_name()) in made:
            made[name].statements.append(statement)
        elif cursor.take("DROP") and cursor.take_any(("TABLE", "VIEW")):
            cursor.skip_existence()
            made.pop(cursor.take_name(), None)
    return made


def _read_run(options: Mapping[str, Any], directory: Path, form: Form) -> list[Migration]:
    due = {each.version for each in pending(options, directory, form=form)}
    return [each for each in form.rewrite(read_migrations(directory)) if each.version not in due]


def _find_missing(client: Client, run: Sequence[Migration]) -> list[Made]:
    there = {name for (name,) in client.execute(THERE_SQL)}
    return [each for name, each in read_made(run).items() if name not in there]


def _databases(run: Iterable[Migration]) -> list[str]:
    statements = (each for migration in run for each in migration.statements)
    return [each for each in statements if Cursor(read_tokens(each)).take("CREATE", "DATABASE")]


def _make(client: Client, missing: Sequence[Made]) -> list[str]:
    """One after the other; what reads a view that comes later waits for it."""
    made: list[str] = []
    left = list(missing)
    while left:
        faults = {each.name: fault for each in left if (fault := _try_to_make(client, each)) is not None}
        if len(faults) == len(left):
            raise next(iter(faults.values()))
        made += [each.remade for each in left if each.name not in faults]
        left = [each for each in left if each.name in faults]
    return made


def _try_to_make(client: Client, view: Made) -> ServerException | None:
    """Make a view; what it lacks that may still come is returned."""
    try:
        client.execute(view.statements[0])
    except ServerException as error:
        if error.code in NOT_YET:
            return error
        raise
    for statement in view.statements[1:]:
        client.execute(statement)
    return None
