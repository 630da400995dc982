"""What in a statement may cost data: pure reading, nothing is asked of a server.

Only what is known to be harmless passes. So a kind of statement that ClickHouse learns tomorrow is refused until
somebody has thought about it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sinks.sql_reading import Cursor, Token, read_tokens, split_at_commas, with_depth

HARMLESS = ("INSERT", "SELECT", "WITH", "SET", "GRANT", "EXPLAIN", "SHOW")
COLUMN_PROPERTIES = frozenset(
    {"COMMENT", "CODEC", "DEFAULT", "MATERIALIZED", "ALIAS", "EPHEMERAL", "TTL", "STATISTICS", "SETTINGS"}
    | {"PRIMARY", "FIRST", "AFTER", "REMOVE", "MODIFY", "RESET"}
)
UNKNOWN = "is not known to be harmless"


@dataclass(frozen=True)
class Change:
    """What a statement does to `target`: a table as `database.table`, a database, or empty when it is not known.

    `column` is set where it is about one only; `type` where it matters only if the column has another one now.
    """

    target: str
    what: str
    column: str = ""
    type: str = ""


def read_changes(statement: str) -> list[Change]:
    """All that may cost data, in order; nothing for a harmless statement."""
    cursor = Cursor(read_tokens(statement))
    if cursor.take_any(HARMLESS):
        return []
    for word, read in _READERS.items():
        if cursor.take(word):
            return list(read(cursor))
    return [Change("", UNKNOWN)]


def _read_create(cursor: Cursor) -> Iterator[Change]:
    """Only what replaces something. Even a view may: the table or materialised view that has its name now."""
    if not cursor.take("OR", "REPLACE"):
        return
    cursor.take_any(("TEMPORARY", "MATERIALIZED"))
    if cursor.take_any(("TABLE", "VIEW", "DICTIONARY")):
        yield Change(cursor.take_name(), "puts another in its place")


def _read_drop(cursor: Cursor) -> Iterator[Change]:
    yield from _read_whole(cursor, "drops it", ("TABLE", "VIEW", "DICTIONARY", "DATABASE"))


def _read_truncate(cursor: Cursor) -> Iterator[Change]:
    cursor.take("ALL", "TABLES", "FROM")
    cursor.take_any(("TABLE", "DATABASE"))
    cursor.skip_existence()
    yield Change(cursor.take_name(), "deletes all rows")


def _read_detach(cursor: Cursor) -> Iterator[Change]:
    yield from _read_whole(cursor, "takes it out of use", ("TABLE", "VIEW", "DICTIONARY", "DATABASE"))


def _read_whole(cursor: Cursor, what: str, kinds: Sequence[str]) -> Iterator[Change]:
    cursor.take("TEMPORARY")
    if not cursor.take_any(kinds):
        yield Change("", UNKNOWN)
        return
    cursor.skip_existence()
    for part in split_at_commas(cursor.rest):
        yield Change(Cursor(part).take_name(), what)


def _read_delete(cursor: Cursor) -> Iterator[Change]:
    cursor.take("FROM")
    yield Change(cursor.take_name(), "deletes rows")


def _read_update(cursor: Cursor) -> Iterator[Change]:
    yield Change(cursor.take_name(), "overwrites values")


def _read_rename(cursor: Cursor) -> Iterator[Change]:
    cursor.take_any(("TABLE", "DATABASE", "DICTIONARY"))
    for part in split_at_commas(cursor.rest):
        pair = Cursor(part)
        pair.skip_existence()
        yield Change(pair.take_name(), "gives it another name, under which nobody looks for it")


def _read_exchange(cursor: Cursor) -> Iterator[Change]:
    cursor.take_any(("TABLES", "DICTIONARIES"))
    first = cursor.take_name()
    cursor.take("AND")
    for name in (first, cursor.take_name()):
        yield Change(name, "puts another table in its place")


def _read_optimize(cursor: Cursor) -> Iterator[Change]:
    cursor.take("TABLE")
    name = cursor.take_name()
    if any(token.word == "DEDUPLICATE" for token in cursor.rest):
        yield Change(name, "deletes rows that it takes for the same")


def _read_alter(cursor: Cursor) -> Iterator[Change]:
    if not cursor.take("TABLE"):
        yield Change("", UNKNOWN)
        return
    cursor.skip_existence()
    target = cursor.take_name()
    cursor.skip_cluster()
    for command in split_commands(cursor.rest):
        yield from _read_command(target, Cursor(command))


def split_commands(tokens: Sequence[Token]) -> list[list[Token]]:
    """The commands of an ALTER, which commas keep apart; `UPDATE` has commas of its own, up to the next command."""
    commands: list[list[Token]] = []
    for part in split_at_commas(tokens):
        if commands and part[0].word not in COMMAND_WORDS:
            commands[-1] += part
        else:
            commands.append(part)
    return commands


COMMAND_WORDS = frozenset(
    {"ADD", "DROP", "MODIFY", "COMMENT", "CLEAR", "RENAME", "MATERIALIZE", "RESET", "REMOVE", "DELETE", "UPDATE"}
    | {"DETACH", "ATTACH", "REPLACE", "MOVE", "FETCH", "FREEZE", "UNFREEZE", "ALTER"}
)
HARMLESS_COMMANDS = (
    ("ADD",), ("COMMENT", "COLUMN"), ("RESET", "SETTING"), ("MODIFY", "SETTING"), ("MODIFY", "COMMENT"),
    ("MODIFY", "SQL", "SECURITY"), ("MODIFY", "DEFINER"), ("MATERIALIZE", "COLUMN"), ("MATERIALIZE", "INDEX"),
    ("MATERIALIZE", "PROJECTION"), ("MATERIALIZE", "STATISTICS"), ("DROP", "INDEX"), ("DROP", "CONSTRAINT"),
    ("DROP", "PROJECTION"), ("DROP", "STATISTICS"), ("CLEAR", "INDEX"), ("CLEAR", "PROJECTION"), ("FREEZE",),
    ("UNFREEZE",), ("ATTACH", "PARTITION"), ("ATTACH", "PART"),
)  # fmt: skip
RISKY_COMMANDS: Mapping[tuple[str, ...], str] = {
    ("DROP", "PARTITION"): "deletes the rows of a partition",
    ("DROP", "PART"): "deletes the rows of a part",
    ("DROP", "DETACHED"): "deletes rows that were put aside",
    ("DETACH",): "takes rows out of use",
    ("REPLACE", "PARTITION"): "puts other rows in the place of a partition",
    ("MOVE",): "moves rows away",
    ("FETCH",): "brings in rows from elsewhere",
    ("DELETE",): "deletes rows",
    ("UPDATE",): "overwrites values",
    ("REMOVE", "TTL"): "keeps rows for ever that were to expire",
    ("MODIFY", "TTL"): "may delete rows that are older",
    ("MATERIALIZE", "TTL"): "deletes what has expired",
    ("MODIFY", "ORDER", "BY"): "changes by what rows replace one another",
    ("MODIFY", "QUERY"): "fills its table with something else",
}


def _read_command(target: str, cursor: Cursor) -> Iterator[Change]:
    for words, what in RISKY_COMMANDS.items():
        if cursor.take(*words):
            yield Change(target, what)
            return
    if any(cursor.take(*words) for words in HARMLESS_COMMANDS):
        return
    for words, read in _COLUMN_COMMANDS.items():
        if cursor.take(*words):
            cursor.skip_existence()
            yield from read(target, cursor)
            return
    yield Change(target, UNKNOWN)


def _read_lost_column(target: str, cursor: Cursor) -> Iterator[Change]:
    yield Change(target, "deletes the values of column", column=cursor.take_name())


def _read_renamed_column(target: str, cursor: Cursor) -> Iterator[Change]:
    yield Change(target, "gives another name to column", column=cursor.take_name())


def _read_modified_column(target: str, cursor: Cursor) -> Iterator[Change]:
    column = cursor.take_name()
    cursor.take("TYPE")
    rest = cursor.rest
    if any(token.word == "TTL" and depth == 0 for token, depth in with_depth(rest)):
        yield Change(target, "may delete values of column", column=column)
    type_tokens = _take_type(rest)
    if type_tokens:
        text = " ".join(token.text for token in type_tokens)
        yield Change(target, "gives another type to column", column=column, type=normalise_type(text))


def _take_type(tokens: Sequence[Token]) -> list[Token]:
    found: list[Token] = []
    for token, depth in with_depth(tokens):
        if depth == 0 and token.word in COLUMN_PROPERTIES:
            break
        found.append(token)
    return found


def normalise_type(text: str) -> str:
    """A type as it is compared: without space."""
    return "".join(text.split())


_READERS: Mapping[str, Callable[[Cursor], Iterator[Change]]] = {
    "CREATE": _read_create,
    "DROP": _read_drop,
    "TRUNCATE": _read_truncate,
    "DETACH": _read_detach,
    "DELETE": _read_delete,
    "UPDATE": _read_update,
    "RENAME": _read_rename,
    "EXCHANGE": _read_exchange,
    "OPTIMIZE": _read_optimize,
    "ALTER": _read_alter,
}
_COLUMN_COMMANDS: Mapping[tuple[str, ...], Callable[[str, Cursor], Iterator[Change]]] = {
    ("DROP", "COLUMN"): _read_lost_column,
    ("CLEAR", "COLUMN"): _read_lost_column,
    ("RENAME", "COLUMN"): _read_renamed_column,
    ("MODIFY", "COLUMN"): _read_modified_column,
    ("ALTER", "COLUMN"): _read_modified_column,
}
