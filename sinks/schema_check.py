"""Compares the schema that a server has with the one that its migrations make there.

What they make is not written down anywhere but in the files. So those that have run are run once more, into empty
databases beside the real ones, and what the same server then says of both is compared: no difference between versions
of ClickHouse can look like one of the schema. The databases beside hold no rows and are dropped at the end; of the real
ones everything is only read. Not compared: TTLs and settings of tables, which are the operator's to change, definers,
and the order of columns.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

from clickhouse_driver import Client

from schemas.errors import Misconfigured, Terminal, Transient
from sinks.connection import opened
from sinks.migrate import AS_WRITTEN, MIGRATIONS, TABLE, Form, Migration, pending, read_migrations
from sinks.sql_reading import Token, read_tokens, table_places

DATABASES = ("journeys", "analytics")
ACCESS_DENIED = 497
OBJECTS_SQL = """SELECT name, engine, engine_full, partition_key, sorting_key, comment, as_select,
    if(engine = 'MaterializedView', create_table_query, '')
FROM system.tables WHERE database = %(database)s AND NOT startsWith(name, '.inner')"""
COLUMNS_SQL = """SELECT table, name, type, default_kind, default_expression, compression_codec, comment
FROM system.columns WHERE database = %(database)s"""
INDEXES_SQL = """SELECT table, name, type_full, expr FROM system.data_skipping_indices WHERE database = %(database)s"""
_ENGINE = re.compile(
    r"^(?:Replicated|Shared)?(?P<name>\w+)(?P<arguments>\(.*?\))?(?= PARTITION BY| ORDER BY| PRIMARY| TTL| SETTINGS|$)"
)
_REPLICA = re.compile(r"\('[^']*', '[^']*'(?:, )?")


class Column(NamedTuple):
    """What is compared of a column, each as the server writes it."""

    type: str
    default: str
    codec: str
    comment: str


@dataclass(frozen=True)
class Object:
    """What is compared of a table or view: `traits` by their names in words, columns and indexes by their own."""

    kind: str
    traits: Mapping[str, str]
    columns: Mapping[str, Column]
    indexes: Mapping[str, str]

    @property
    def is_view(self) -> bool:
        """Whether it holds no rows of its own."""
        return "view" in self.kind


def check_schema(options: Mapping[str, Any], directory: Path = MIGRATIONS, *, form: Form = AS_WRITTEN) -> list[str]:
    """One line for each deviation from what the migrations that have run made, with what to do about it.

    Takes a second or two. Raises `Misconfigured` as `migrate.pending` does, or when the user may not make the databases
    beside; `Transient` or `Terminal` when the server fails.
    """
    due = {each.version for each in pending(options, directory, form=form)}
    run = [each for each in form.rewrite(read_migrations(directory)) if each.version not in due]
    try:
        with opened({**options, "database": "default"}) as client:
            with _databases_beside(client) as beside:
                for statement in (each for migration in run for each in migration.statements):
                    client.execute(_moved(statement, beside))
                expected = {name: _read_objects(client, name, beside[name], beside) for name in DATABASES}
            found = {name: _read_objects(client, name, name, {}) for name in DATABASES}
    except (Transient, Terminal) as error:
        raise _explained(error) from error
    wanted = {**expected[DATABASES[0]], **expected[DATABASES[1]]}
    there = {**found[DATABASES[0]], **found[DATABASES[1]]}
    return list(compare(wanted, there, run))


def compare(
    wanted: Mapping[str, Object], there: Mapping[str, Object], migrations: Sequence[Migration]
) -> Iterator[str]:
    """The deviations of what is `there` from what is `wanted`, by full name."""
    for name in sorted(wanted.keys() | there.keys()):
        if name not in there:
            yield f"{name} is missing: {_how_to_remake(name, wanted[name], None, migrations)}"
        elif name not in wanted:
            yield f"{name} is of no migration: drop it, or move it to a database of your own"
        else:
            yield from _compare_object(name, wanted[name], there[name], migrations)


def _compare_object(name: str, wanted: Object, there: Object, migrations: Sequence[Migration]) -> Iterator[str]:
    if wanted.kind != there.kind:
        yield f"{name} is a {there.kind} and not a {wanted.kind}: {_how_to_remake(name, wanted, there, migrations)}"
        return
    for trait, value in wanted.traits.items():
        if there.traits[trait] != value:
            yield f"{name} has another {trait}: {_how_to_mend(name, trait, wanted, there, migrations)}"
    for column in sorted(wanted.columns.keys() | there.columns.keys()):
        line = _compare_column(name, column, wanted.columns.get(column), there.columns.get(column))
        if line:
            yield f"{line[0]}: {_how_to_remake(name, wanted, there, migrations) if wanted.is_view else line[1]}"
    for index in sorted(wanted.indexes.keys() | there.indexes.keys()):
        if wanted.indexes.get(index) != there.indexes.get(index):
            yield f"{name}: index {index} {_how_differs(index, wanted.indexes, there.indexes)}"


def _compare_column(name: str, column: str, wanted: Column | None, there: Column | None) -> tuple[str, str] | None:
    """What is different and, for a table, what to do."""
    if wanted is None:
        drop = f"ALTER TABLE {name} DROP COLUMN {column}"
        return f"{name}: column {column} is of no migration", f"move it to a table of your own, then `{drop}`"
    if there is None:
        definition = " ".join(part for part in (wanted.type, wanted.default, wanted.codec) if part)
        return f"{name}: column {column} is missing", f"`ALTER TABLE {name} ADD COLUMN {column} {definition}`"
    for what, mended in (("type", wanted.type), ("default", wanted.default), ("codec", wanted.codec)):
        if getattr(wanted, what) != getattr(there, what):
            says = f"{name}: column {column} has {what} {getattr(there, what) or '(none)'}, not {mended or '(none)'}"
            change = f"{wanted.type} {mended}" if what != "type" else mended
            return says, f"`ALTER TABLE {name} MODIFY COLUMN {column} {change.strip()}`"
    if wanted.comment != there.comment:
        return f"{name}: column {column} has another comment", (
            f"`ALTER TABLE {name} COMMENT COLUMN {column} {_quote(wanted.comment)}`"
        )
    return None


def _how_to_mend(name: str, trait: str, wanted: Object, there: Object, migrations: Sequence[Migration]) -> str:
    value = wanted.traits[trait]
    if trait == "comment":
        return f"`ALTER TABLE {name} MODIFY COMMENT {_quote(value)}`"
    if wanted.kind == "table":
        return f"it must be {value or '(none)'}: that takes a new table, filled from this one"
    return _how_to_remake(name, wanted, there, migrations)


def _how_to_remake(name: str, wanted: Object, there: Object | None, migrations: Sequence[Migration]) -> str:
    if wanted.is_view and there is None:
        return "`journeys migrate --repair` makes it again"
    if wanted.is_view and there is not None and there.is_view:
        return f"`DROP VIEW {name}`, then `journeys migrate --repair` makes it again"
    files = [each.name for each in migrations if any(place == name for _, place in _places(each))]
    return f"run the statements about it again, in this order: {', '.join(files)}"


def _places(migration: Migration) -> Iterator[tuple[int, str]]:
    """What the migration makes or alters."""
    for statement in migration.statements:
        tokens = read_tokens(statement)
        if tokens[0].word in ("CREATE", "ALTER"):
            yield from list(table_places(tokens))[:1]


def _how_differs(index: str, wanted: Mapping[str, str], there: Mapping[str, str]) -> str:
    if index not in wanted:
        return "is of no migration: drop it if nothing needs it"
    return f"{'is missing' if index not in there else 'is another'}: it must be {wanted[index]}"


def _quote(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


@contextmanager
def _databases_beside(client: Client) -> Iterator[dict[str, str]]:
    """Two empty databases, by the names of those that they stand beside. Whatever happens, they are dropped."""
    suffix = f"_check_{uuid4().hex[:12]}"
    beside = {name: f"{name}{suffix}" for name in DATABASES}
    try:
        for name in beside.values():
            client.execute(f"CREATE DATABASE {name}")
        yield beside
    finally:
        # After an error that broke the connection off, the client makes a new one by itself.
        for name in reversed(beside.values()):
            client.execute(f"DROP DATABASE IF EXISTS {name} SYNC")


def _moved(statement: str, beside: Mapping[str, str]) -> str:
    """The statement, about the databases beside."""
    tokens = read_tokens(statement)
    for at in reversed(range(len(tokens))):
        if tokens[at].name in beside and _names_database(tokens, at):
            statement = statement[: tokens[at].start] + beside[tokens[at].name] + statement[tokens[at].end :]
    return statement


def _names_database(tokens: Sequence[Token], at: int) -> bool:
    is_followed = at + 1 < len(tokens) and tokens[at + 1].text == "."
    is_inner = at > 0 and tokens[at - 1].text == "."
    return (is_followed and not is_inner) or any(token.word == "DATABASE" for token in tokens[:at][:2])


def _read_objects(client: Client, name: str, database: str, beside: Mapping[str, str]) -> dict[str, Object]:
    """All of `database` but the history of migrations, under full names with `name` as their database."""
    asked = {"database": database}
    columns: dict[str, dict[str, Column]] = {}
    for table, column, kind, default_kind, default, codec, comment in client.execute(COLUMNS_SQL, asked):
        columns.setdefault(table, {})[column] = Column(kind, f"{default_kind} {default}".strip(), codec, comment)
    indexes: dict[str, dict[str, str]] = {}
    for table, index, kind, expression in client.execute(INDEXES_SQL, asked):
        indexes.setdefault(table, {})[index] = f"{expression} TYPE {kind}"
    found: dict[str, Object] = {}
    for table, *described in client.execute(OBJECTS_SQL, asked):
        described = [_moved_back(text, beside) for text in described]
        if f"{name}.{table}" != TABLE:
            found[f"{name}.{table}"] = _make_object(described, columns.get(table, {}), indexes.get(table, {}))
    return found


def _make_object(described: Sequence[str], columns: Mapping[str, Column], indexes: Mapping[str, str]) -> Object:
    engine, engine_full, partition_key, sorting_key, comment, select, create = described
    if engine == "View":
        return Object("view", {"query": select, "comment": comment}, columns, indexes)
    if engine == "MaterializedView":
        tokens = read_tokens(create)
        target = next((place for at, place in table_places(tokens) if tokens[at - 1].word == "TO"), "")
        return Object("materialised view", {"query": select, "target": target, "comment": comment}, columns, indexes)
    traits = {
        "engine": normalise_engine(engine_full),
        "partition key": partition_key,
        "sorting key": sorting_key,
        "comment": comment,
    }
    return Object("table", traits, columns, indexes)


def normalise_engine(engine: str) -> str:
    """The engine with its own arguments, as it would be on a server that replicates nothing."""
    found = _ENGINE.match(engine)
    if found is None:
        return engine
    arguments = found["arguments"] or ""
    if engine.startswith(("Replicated", "Shared")):
        arguments = _REPLICA.sub("(", arguments, count=1)
    return found["name"] + ("" if arguments == "()" else arguments)


def _moved_back(text: str, beside: Mapping[str, str]) -> str:
    for name, other in beside.items():
        text = text.replace(other, name)
    return text


def _explained(error: Exception) -> Exception:
    if isinstance(error, Terminal) and f"({ACCESS_DENIED})" in str(error):
        return Misconfigured(
            "the check makes two databases beside the real ones, journeys_check_… and analytics_check_…, and drops them"
            f" again; for that this user lacks a right (deploy/clickhouse/users.sql has them all): {error}"
        )
    return error
