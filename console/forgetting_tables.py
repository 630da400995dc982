"""Where ClickHouse keeps a customer: which rows of which base table, counted and erased so that no bytes stay behind.

Values never stand in the text of a query: it goes to the server's logs, and that of a mutation to a file beside the
data. Where rows are looked for they travel beside the query, where rows are erased their SHA-256 stands for them.
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from console.forgetting_letters import Letters
from console.forgetting_names import Needles
from console.forgetting_states import States
from schemas.errors import JourneysError
from sinks.cluster import LOCAL
from sinks.writer import Beside, ClickHouseWriter

IDENTITY_COLUMNS = ("customer_id", "customer_key", "identifier", "owner", "to_key")
"""Columns that hold one identifier and nothing else, as record key or as tables show customers."""
NOT_OF_CUSTOMERS: Mapping[str, str] = {
    "journeys.facts": "concerns no single customer",
    "journeys.forgotten": "hashes only",
    "journeys.partition_progress": "positions of topics",
    "journeys.schema_versions": "migrations",
}
LETTERS, REPLAYS, ACTIONS = "journeys.dead_letters", "journeys.dead_letter_replays", "journeys.alert_actions"
STATES = "journeys.customer_state"
OWNERS, LINKS, TOUCHPOINTS = "journeys.identity_owners", "journeys.identity_links", "journeys.touchpoints"
LAST = (TOUCHPOINTS, LINKS, OWNERS)
"""Erased last: if the command dies on the way, these tell the next one who the customer was."""
TABLES_SQL = r"""SELECT concat(database, '.', table), groupArray((name, type)), any(engine_full) FROM
(SELECT c.database AS database, c.table AS table, c.name AS name, c.type AS type, t.engine_full AS engine_full
 FROM system.columns AS c INNER JOIN system.tables AS t ON c.database = t.database AND c.table = t.name
 WHERE c.database IN ('journeys', 'analytics') AND endsWith(t.engine, 'MergeTree')
   AND c.default_kind NOT IN ('ALIAS', 'EPHEMERAL') ORDER BY c.position)
GROUP BY database, table ORDER BY 1"""
EPISODES_SQL = """SELECT DISTINCT toString(episode_id) FROM journeys.alerts
WHERE customer_id IN (SELECT text FROM wanted)"""
STALE_SQL = """SELECT name FROM system.parts
WHERE concat(database, '.', table) = %(table)s AND NOT active"""
LIFETIME_SQL = "SELECT toUInt64(value) FROM system.merge_tree_settings WHERE name = 'old_parts_lifetime'"
WANTED = Beside("wanted", (("text", "String"),))
HASHES_PER_STATEMENT = 1_000
PURGE_SECONDS, PURGE_STEP_SECONDS = 30.0, 0.05


@dataclass(frozen=True)
class BaseTable:
    """One base table, with the types of its columns by name, in order.

    On a cluster `stored` is how the server calls its part of it, else empty.
    """

    name: str
    columns: Mapping[str, str]
    engine: str = ""
    stored: str = ""

    @property
    def own_name(self) -> str:
        """How the server that holds it calls it."""
        return self.stored or self.name

    @property
    def quoted(self) -> str:
        """That for a statement."""
        return ".".join(f"`{part}`" for part in self.own_name.split(".", 1))

    @property
    def identity_columns(self) -> tuple[str, ...]:
        """Those of `IDENTITY_COLUMNS` that it has."""
        return tuple(name for name in IDENTITY_COLUMNS if "String" in self.columns.get(name, ""))

    @property
    def is_covered(self) -> bool:
        """Whether it is known how a customer's rows of it are found, or that there are none."""
        return bool(self.identity_columns) or self.name in NOT_OF_CUSTOMERS or self.name == LETTERS


@dataclass(frozen=True)
class Person:
    """The customer as tables know them: identifiers, alerts, and what names them by its place.

    That is refused records, notes, and former states of others.
    """

    needles: Needles
    episodes: frozenset[str]
    letters: Letters
    notes: frozenset[str] = frozenset()
    states: States = States()


@dataclass(frozen=True)
class Part:
    """Rows of one table: how they are found with `wanted` beside the query, and the statements that erase them.

    `taken_out` says what else goes than the customer's own rows.
    """

    table: BaseTable
    find: str
    statements: tuple[str, ...]
    taken_out: str = ""


def read_tables(clickhouse: ClickHouseWriter, spread: Collection[str] = ()) -> list[BaseTable]:
    """Every base table that the server has, whichever version made it; those that say who the customer is come last.

    Of the tables in `spread` it holds a part, under their name with `LOCAL`.
    """
    found = []
    for stored, columns, engine in clickhouse.query(TABLES_SQL):
        name = stored.removesuffix(LOCAL)
        is_part = name != stored and name in spread
        found.append(BaseTable(name if is_part else stored, dict(columns), engine, stored if is_part else ""))
    return sorted(found, key=lambda table: (LAST.index(table.name) + 1 if table.name in LAST else 0, table.name))


def uncovered(tables: Iterable[BaseTable]) -> list[str]:
    """Tables of which nobody has said whether they hold customers: they are scanned, and nothing of them is erased."""
    return [table.name for table in tables if not table.is_covered]


def find_episodes(clickhouse: ClickHouseWriter, needles: Needles) -> frozenset[str]:
    """The alerts of the customer, as far as they are stored."""
    return frozenset(row[0] for row in clickhouse.query_beside(EPISODES_SQL, {}, WANTED, _beside(needles.names)))


def make_plan(tables: Iterable[BaseTable], person: Person) -> list[Part]:
    """What there is to erase."""
    return [part for table in tables for part in _parts(table, person)]


def _parts(table: BaseTable, person: Person) -> Iterator[Part]:
    finds = [f"{name} IN (SELECT text FROM wanted)" for name in table.identity_columns]
    erasures = [_matches(table.identity_columns, some) for some in _hashes(person.needles.names)]
    if not table.identity_columns:
        finds, erasures = [], []
    for condition in _conditions_beside(table, person):
        finds.append(condition)
        erasures.append(condition)
    if finds:
        statements = tuple(f"ALTER TABLE {table.quoted} DELETE WHERE {condition}" for condition in erasures)
        yield Part(table, " OR ".join(f"({find})" for find in finds), statements)
    if table.name == STATES and (former := list(person.states.conditions())):
        statements = tuple(f"ALTER TABLE {table.quoted} DELETE WHERE {each}" for each in former)
        yield Part(table, " OR ".join(former), statements, taken_out="former states of others")
    if table.name == TOUCHPOINTS:
        yield _strip(table, person.needles)
    if table.name == ACTIONS and person.notes:
        finds = [f"action_id IN ({_quoted(some)}) AND note != ''" for some in _chunks(sorted(person.notes))]
        statements = tuple(f"ALTER TABLE {table.quoted} UPDATE note = '' WHERE {find}" for find in finds)
        yield Part(table, " OR ".join(f"({find})" for find in finds), statements, taken_out="notes emptied")


def _conditions_beside(table: BaseTable, person: Person) -> Iterator[str]:
    """What else of a table is the customer's; none of it names them."""
    if table.name == ACTIONS and person.episodes:
        for some in _chunks(sorted(person.episodes)):
            yield f"episode_id IN ({_quoted(some)})"
    if table.name in (LETTERS, REPLAYS):
        yield from person.letters.conditions()


def _strip(table: BaseTable, needles: Needles) -> Part:
    """Take the identifiers out of touchpoints that stay, since they are another customer's."""
    carried = "arrayMap((k, v) -> concat(k, ':', v), mapKeys(identifiers), mapValues(identifiers))"
    find = (
        "customer_id NOT IN (SELECT text FROM wanted) "
        f"AND hasAny(arrayConcat({carried}, via), (SELECT groupArray(text) FROM wanted))"
    )
    statements = []
    for some in _hashes(needles.keys):
        pair, hop = f"hex(SHA256(concat(k, ':', v))) IN ({some})", f"hex(SHA256(v)) IN ({some})"
        statements.append(
            f"ALTER TABLE {table.quoted} UPDATE identifiers = mapFilter((k, v) -> NOT ({pair}), identifiers), "
            f"via = arrayFilter(v -> NOT ({hop}), via), "
            f"_via_versions = arrayFilter((n, v) -> NOT ({hop}), arrayResize(_via_versions, length(via)), via) "
            f"WHERE arrayExists((k, v) -> {pair}, mapKeys(identifiers), mapValues(identifiers)) "
            f"OR arrayExists(v -> {hop}, via)"
        )
    return Part(table, find, tuple(statements), taken_out="taken out of others' rows")


def _matches(columns: Sequence[str], hashes: str) -> str:
    return " OR ".join(f"hex(SHA256({name})) IN ({hashes})" for name in columns)


def _hashes(texts: Iterable[str]) -> Iterator[str]:
    for some in _chunks(sorted(texts)):
        yield _quoted(sha256(each.encode()).hexdigest().upper() for each in some)


def _chunks(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(texts), HASHES_PER_STATEMENT):
        yield texts[start : start + HASHES_PER_STATEMENT]


def _quoted(texts: Iterable[str]) -> str:
    return ", ".join(f"'{each}'" for each in texts)


def _beside(texts: Iterable[str]) -> list[dict[str, Any]]:
    return [{"text": each} for each in sorted(texts)]


def count_rows(clickhouse: ClickHouseWriter, part: Part, needles: Needles) -> int:
    """How many rows a part has now, each version of a row counted."""
    sql = f"SELECT count() FROM {part.table.quoted} WHERE {part.find}"
    return int(clickhouse.query_beside(sql, {}, WANTED, _beside(needles.names))[0][0])


def erase_rows(clickhouse: ClickHouseWriter, part: Part) -> None:
    """Rewrite the table's files without the rows of a part. On return no query sees them; see `purge` for the disk."""
    for statement in part.statements:
        clickhouse.query(f"{statement} SETTINGS mutations_sync = 2")


def purge(clickhouse: ClickHouseWriter, table: BaseTable, *, seconds: float) -> int:
    """Have the server remove a table's replaced files from disk; returns how many are still there after `seconds`.

    It would by itself, in minutes. Files that a query still reads stay until it has ended.
    """
    stale = {row[0] for row in clickhouse.query(STALE_SQL, {"table": table.own_name})}
    if not stale:
        return 0
    deadline = time.monotonic() + seconds
    with _short_lived(clickhouse, table):
        while stale and time.monotonic() < deadline:
            try:
                # Wakes the thread that removes them, which otherwise sleeps the longer the less there was to do.
                clickhouse.query(f"SYSTEM START CLEANUP {table.quoted}")
            except JourneysError:
                # A server that does not know the statement, or does not let us: then by and by.
                return len(stale)
            time.sleep(PURGE_STEP_SECONDS)
            stale &= {row[0] for row in clickhouse.query(STALE_SQL, {"table": table.own_name})}
    return len(stale)


class _short_lived:
    """While it lasts, replaced files of a table count as old at once. Puts back what was set before."""

    def __init__(self, clickhouse: ClickHouseWriter, table: BaseTable) -> None:
        own = re.search(r"\bold_parts_lifetime = (\d+)", table.engine)
        self._clickhouse = clickhouse
        self._table = table
        self._own = own[1] if own else None

    def __enter__(self) -> None:
        rows = self._clickhouse.query(LIFETIME_SQL)
        self._is_changed = int(self._own or (rows[0][0] if rows else 0)) > 0
        if self._is_changed:
            self._alter("MODIFY SETTING old_parts_lifetime = 0")

    def __exit__(self, *_: object) -> None:
        if self._is_changed:
            before = f"MODIFY SETTING old_parts_lifetime = {self._own}" if self._own else None
            self._alter(before or "RESET SETTING old_parts_lifetime")

    def _alter(self, change: str) -> None:
        self._clickhouse.query(f"ALTER TABLE {self._table.quoted} {change}")
