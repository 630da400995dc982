"""Identity as ClickHouse has it: decisions, links, and how well it all fits together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from console.alert_store import Answer, Ask
from console.identity_family import Decision, Family, Sighting, Statement, climb
from console.identity_names import Named, pick_key
from schemas.identifiers import KINDS, customer_name, record_key

MOST_BYTES = 120_000
"""Of the identifiers that one query names: its text has a limit."""
MOST_EXAMINED = 400
"""Members of which it is looked up what else they were seen with, and by which type of touchpoint they were linked."""
MOST_OTHERS = 20
SIGHTINGS_EACH = 6
COLUMNS = "identifier, owner, status, customers, rule, source, event_id, linked_at, first_seen_at, decided_at"
OWN_SQL = f"SELECT {COLUMNS} FROM analytics.identity WHERE identifier IN %(keys)s"
BELOW_SQL = f"SELECT {COLUMNS} FROM analytics.identity WHERE owner IN %(keys)s ORDER BY identifier"
SIGHTINGS_SQL = f"""SELECT identifier, owner, times, first_at, last_at, count() OVER (PARTITION BY identifier) AS owners
FROM (
    SELECT identifier, owner, count() AS times, min(occurred_at) AS first_at, max(occurred_at) AS last_at
    FROM analytics.identity_links
    WHERE identifier IN %(keys)s AND rule IN ('seen_together', 'merged')
    GROUP BY identifier, owner
)
ORDER BY identifier, first_at, owner LIMIT {SIGHTINGS_EACH} BY identifier"""
STATEMENTS_SQL = """SELECT identifier, owner, rule, occurred_at, source, event_id, by, reason
FROM analytics.identity_links WHERE identifier IN %(keys)s AND rule != 'seen_together'"""
OTHERS_SQL = f"""SELECT DISTINCT identifier FROM analytics.identity_links
WHERE owner IN %(keys)s ORDER BY identifier LIMIT {MOST_OTHERS + MOST_EXAMINED}"""
TYPES_SQL = """SELECT source, event_id, any(type) FROM analytics.touchpoints
WHERE customer_id IN %(customers)s AND concat(source, '/', event_id) IN %(references)s GROUP BY source, event_id"""
COUNT_SQL = "SELECT count() FROM analytics.touchpoints WHERE customer_id = %(customer)s"
_KEYS_SQL = """SELECT DISTINCT key FROM (
    SELECT arrayJoin([identifier, owner]) AS key FROM analytics.identity_links
    UNION ALL SELECT arrayJoin([identifier, owner]) AS key FROM analytics.identity
    UNION ALL SELECT customer_id AS key FROM analytics.journeys
)"""
START_SQL = f"{_KEYS_SQL} WHERE startsWith(key, %(start)s) ORDER BY key LIMIT 100"
KNOWN_SQL = f"{_KEYS_SQL} WHERE key IN %(keys)s"
NAMED_SQL = """SELECT count() FROM analytics.identity_links WHERE identifier = %(key)s OR owner = %(key)s"""
PAIR_SQL = """SELECT count() FROM analytics.identity_links
WHERE identifier = %(identifier)s AND owner = %(owner)s AND rule != 'unlinked'"""
STORED_SQL = """SELECT count() FROM analytics.identity_links
WHERE identifier = %(identifier)s AND owner = %(owner)s AND event_id = %(event_id)s"""
LIST_SQL = """SELECT identifier, kind, status, owner, customers, rule, source, event_id,
       linked_at, first_seen_at, decided_at
FROM analytics.identity WHERE {condition} ORDER BY decided_at DESC, identifier"""
TALLY_SQL = "SELECT count() FROM analytics.identity WHERE {condition}"
QUALITY_SQL = "SELECT * FROM analytics.identity_quality"


def find_key(ask: Ask, named: Named) -> str:
    """The whole record key; of several hashes the first that is known. Raises `Misconfigured` for the beginning of none
    or of several."""
    if not named.is_start:
        known = {str(row[0]) for row in ask(KNOWN_SQL, {"keys": named.keys}).rows} if named.former else set()
        return next((key for key in named.keys if key in known), named.key)
    return pick_key(named.key, (str(row[0]) for row in ask(START_SQL, {"start": named.key}).rows))


def find_namesakes(ask: Ask, value: str) -> list[str]:
    """Identifiers of any kind that are known and have this value, the strongest first."""
    keys = tuple(record_key(kind, value) for kind in KINDS)
    known = {str(row[0]) for row in ask(KNOWN_SQL, {"keys": keys}).rows}
    return [key for key in keys if key in known]


def read_decisions(ask: Ask, keys: Iterable[str]) -> dict[str, Decision]:
    """What was decided of each identifier; those of which nothing was are left out."""
    return _by_identifier(_ask_for(ask, OWN_SQL, keys))


def read_family(ask: Ask, asked: str, limit: int) -> Family:
    """All around one identifier; with a limit, at most about so many members, its own owners and members first."""
    decisions = _read_way_up(ask, asked)
    root = _root_of(asked, decisions)
    is_whole = _read_below(ask, asked, decisions, limit) and _read_below(ask, root, decisions, limit)
    members = list(dict.fromkeys([root, asked, *decisions]))
    others = _read_others(ask, members)
    known = [*members, *others]
    return Family(
        asked,
        decisions,
        others,
        tuple(Sighting(*row) for row in _ask_for(ask, SIGHTINGS_SQL, known)),
        tuple(Statement(*row) for row in _ask_for(ask, STATEMENTS_SQL, known)),
        _read_types(ask, members, decisions.values()),
        int(ask(COUNT_SQL, {"customer": customer_name(root)}).rows[0][0]),
        is_whole,
    )


def find_root(ask: Ask, key: str) -> str:
    """The record key of the customer to whom an identifier belongs; itself where it belongs to nobody else."""
    return _root_of(key, _read_way_up(ask, key))


def is_known(ask: Ask, family: Family) -> bool:
    """Whether anything at all is known of what was asked for."""
    if family.touchpoints or family.asked in family.decisions or len(family.members()) > 1:
        return True
    return bool(ask(NAMED_SQL, {"key": family.asked}).rows[0][0])


def is_linked(ask: Ask, identifier: str, owner: str) -> bool:
    """Whether anything but a person's `unlinked` says that the one belongs to the other."""
    return bool(ask(PAIR_SQL, {"identifier": identifier, "owner": owner}).rows[0][0])


def is_stored(ask: Ask, identifier: str, owner: str, event_id: str) -> bool:
    """Whether a worker has written this very link down."""
    return bool(ask(STORED_SQL, {"identifier": identifier, "owner": owner, "event_id": event_id}).rows[0][0])


def read_statements(ask: Ask, identifier: str) -> list[Statement]:
    """Merges and human acts of which an identifier is the weaker one."""
    return [Statement(*row) for row in _ask_for(ask, STATEMENTS_SQL, [identifier])]


def list_identities(ask: Ask, statuses: Sequence[str], kinds: Sequence[str], limit: int) -> tuple[Answer, int]:
    """The rows that are meant, the latest decision first, and how many there are in all."""
    named = {"status": tuple(statuses), "kind": tuple(kinds)}
    asked = {name: values for name, values in named.items() if values}
    condition = " AND ".join(f"{name} IN %({name})s" for name in asked) or "1"
    rows = ask(LIST_SQL.format(condition=condition) + (f" LIMIT {limit}" if limit else ""), asked)
    return rows, int(ask(TALLY_SQL.format(condition=condition), asked).rows[0][0])


def read_quality(ask: Ask) -> Answer:
    """The one row of `analytics.identity_quality`."""
    return ask(QUALITY_SQL, {})


def _ask_for(ask: Ask, sql: str, keys: Iterable[str]) -> list[tuple[Any, ...]]:
    return [tuple(row) for part in divide(keys) for row in ask(sql, {"keys": part}).rows]


def divide(keys: Iterable[str], most_bytes: int = MOST_BYTES) -> Iterator[tuple[str, ...]]:
    """The keys in order, in parts of at most so many bytes with what stands around each; one key at least."""
    part: list[str] = []
    size = 0
    for key in keys:
        length = len(key.encode()) + 4
        if part and size + length > most_bytes:
            yield tuple(part)
            part, size = [], 0
        part.append(key)
        size += length
    if part:
        yield tuple(part)


def _by_identifier(rows: Iterable[tuple[Any, ...]]) -> dict[str, Decision]:
    return {row[0]: Decision(*row) for row in rows}


def _root_of(key: str, decisions: Mapping[str, Decision]) -> str:
    return list(climb(key, lambda each: decisions[each].belongs_to if each in decisions else ""))[-1]


def _read_way_up(ask: Ask, asked: str) -> dict[str, Decision]:
    decisions: dict[str, Decision] = {}
    key = asked
    while key and key not in decisions:
        found = read_decisions(ask, [key])
        decisions.update(found)
        key = found[key].belongs_to if key in found else ""
    return decisions


def _read_below(ask: Ask, top: str, decisions: dict[str, Decision], limit: int) -> bool:
    """Add what belongs to `top`, level by level; False when the limit cut it off."""
    level, seen = [top], {top}
    while level:
        found: dict[str, Decision] = {}
        for part in divide(level):
            room = limit + 1 - len(decisions) if limit else 0
            if limit and room - len(found) <= 0:
                return False
            sql = BELOW_SQL + (f" LIMIT {room}" if limit else "")
            found.update(_by_identifier(_ask_for(ask, sql, part)))
        decisions.update(found)
        level = [key for key in found if key not in seen]
        seen.update(level)
    return True


def _read_others(ask: Ask, members: Sequence[str]) -> dict[str, Decision]:
    named = {str(row[0]) for row in _ask_for(ask, OTHERS_SQL, members[:MOST_EXAMINED])} - set(members)
    return read_decisions(ask, sorted(named)[:MOST_OTHERS])


def _read_types(ask: Ask, members: Sequence[str], decisions: Iterable[Decision]) -> dict[tuple[str, str], str]:
    references = sorted({f"{each.source}/{each.event_id}" for each in decisions if each.event_id})
    customers = tuple(customer_name(key) for key in members[:MOST_EXAMINED])
    if not references:
        return {}
    rows = ask(TYPES_SQL, {"customers": customers, "references": tuple(references[:MOST_EXAMINED])}).rows
    return {(str(source), str(event_id)): str(kind) for source, event_id, kind in rows}
