"""All identifiers of one customer: whatever is linked to what was asked for, but for what others share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from schemas.identifiers import KINDS, customer_key, customer_name
from schemas.links import HUMAN_RULES, strength
from sinks.writer import Beside, ClickHouseWriter

WANTED = Beside("wanted", (("text", "String"),))
WAY_UP_SQL = """SELECT identifier, owner, status FROM journeys.identity_owners FINAL
WHERE identifier IN (SELECT text FROM wanted)"""
OWNERS_SQL = f"{WAY_UP_SQL} OR owner IN (SELECT text FROM wanted)"
LINKS_SQL = """SELECT identifier, owner, rule, toUnixTimestamp64Milli(occurred_at) FROM journeys.identity_links FINAL
WHERE identifier IN (SELECT text FROM wanted) OR owner IN (SELECT text FROM wanted)"""
CARRIED = "arrayConcat(arrayMap((k, v) -> concat(k, ':', v), mapKeys(identifiers), mapValues(identifiers)), via)"
CARRIED_SQL = f"""SELECT DISTINCT arrayJoin({CARRIED}) FROM journeys.touchpoints FINAL
WHERE customer_id IN (SELECT text FROM wanted)"""
CARRIERS_SQL = f"""SELECT key, groupUniqArray(100)(customer_id) FROM
(SELECT customer_id, arrayJoin({CARRIED}) AS key FROM journeys.touchpoints FINAL)
WHERE key IN (SELECT text FROM wanted) GROUP BY key"""


class Owner(NamedTuple):
    """To whom an identifier was decided to belong; `status` as in journeys.identity_owners."""

    owner: str
    status: str


class Tie(NamedTuple):
    """A piece of evidence that an identifier belongs to an owner, or by `unlinked` that it does not."""

    identifier: str
    owner: str
    rule: str
    occurred_ms: int


@dataclass
class Known:
    """What is stored of some identifiers: decisions, evidence, and which customers' touchpoints carry each."""

    owners: dict[str, Owner] = field(default_factory=dict)
    ties: set[Tie] = field(default_factory=set)
    carriers: dict[str, set[str]] = field(default_factory=dict)

    def identifiers(self) -> set[str]:
        """All that is spoken of."""
        tied = {key for tie in self.ties for key in (tie.identifier, tie.owner)}
        decided = {key for identifier, owner in self.owners.items() for key in (identifier, owner.owner) if key}
        return tied | decided | self.carriers.keys()


@dataclass(frozen=True)
class Aliases:
    """The customer's `keys`, what was asked for first; `shared` are others' too, with why; `cut` are the
    pairs (shared identifier, key) that tie one to the customer."""

    keys: tuple[str, ...]
    shared: Mapping[str, str] = field(default_factory=dict)
    cut: tuple[tuple[str, str], ...] = ()


def close(asked: Sequence[str], known: Known) -> Aliases:
    """Everything that belongs to the same customer as what was asked for, as far as `known` tells.

    What is in conflict, flagged or unlinked, or has owners or touchpoints besides this customer's, is shared, even if
    it is linked to this one: it is not the customer's alone, so nothing is reached through it.
    """
    keys = dict.fromkeys(asked)
    owners_of = _owners_by_evidence(known.ties)
    parted = _find_parted(known, owners_of)
    while grown := [each for each in _next(keys, known, owners_of, parted) if each not in keys]:
        keys.update(dict.fromkeys(grown))
    others = sorted(known.identifiers() - keys.keys())
    shared = {each: why for each in others if (why := _why_shared(each, keys, known, owners_of))}
    cut = {
        (each, owner)
        for each in shared
        for owner in (*owners_of.get(each, ()), known.owners.get(each, Owner("", "")).owner)
        if owner in keys
    }
    weaker = sorted(keys.keys() - set(asked), key=lambda key: (strength(key), key))
    return Aliases((*dict.fromkeys(asked), *weaker), shared, tuple(sorted(cut)))


def _next(keys: Mapping[str, None], known: Known, owners_of: Mapping[str, set[str]], parted: set[str]) -> Iterator[str]:
    """What one step from the keys leads to; `parted` are linked and others' as well."""
    common = parted | {each for each, (_, status) in known.owners.items() if status in ("flagged", "conflict")}
    # A customer whom sources merged into two is still one person.
    common = {each for each in common if strength(each)}
    own = keys.keys() - common
    for identifier, (owner, status) in known.owners.items():
        if status == "linked" and owner and identifier not in parted:
            if identifier in keys and owner not in common:
                yield owner
            if owner in own:
                yield identifier
    for identifier, owners in owners_of.items():
        if identifier in known.owners:
            continue
        if identifier in keys and len({_root(owner, known) for owner in owners}) == 1:
            yield from owners - common
        if owners and owners <= own:
            yield identifier
    for identifier, carriers in known.carriers.items():
        outside = (carriers | owners_of.get(identifier, set())) - own
        if carriers and not outside and identifier not in known.owners:
            yield identifier


def _find_parted(known: Known, owners_of: Mapping[str, set[str]]) -> set[str]:
    """What is linked to one customer and by its evidence another's too, unless a person has ordered that link."""
    said = _last_acts(known.ties)
    return {
        identifier
        for identifier, (owner, status) in known.owners.items()
        if status == "linked" and said.get((identifier, owner)) != "relinked"
        if len({_root(each, known) for each in (owner, *owners_of.get(identifier, ()))}) > 1
    }


def _root(key: str, known: Known) -> str:
    """To whom a key comes in the end by what was decided; in a circle to the first by name."""
    way = [key]
    while (step := known.owners.get(way[-1])) is not None and step.status == "linked":
        if step.owner in way:
            return min(way[way.index(step.owner) :])
        way.append(step.owner)
    return way[-1]


def _owners_by_evidence(ties: Collection[Tie]) -> dict[str, set[str]]:
    """Owners of each identifier, without those from whom a person has unlinked it."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for tie in ties:
        found[tie.identifier].add(tie.owner)
    for (identifier, owner), rule in _last_acts(ties).items():
        if rule == "unlinked":
            found[identifier].discard(owner)
    return dict(found)


def _last_acts(ties: Iterable[Tie]) -> dict[tuple[str, str], str]:
    """What a person said last of each pair."""
    acts = (tie for tie in ties if tie.rule in HUMAN_RULES)
    return {(tie.identifier, tie.owner): tie.rule for tie in sorted(acts, key=lambda tie: tie.occurred_ms)}


def _why_shared(identifier: str, keys: Mapping[str, None], known: Known, owners_of: Mapping[str, set[str]]) -> str:
    """Why an identifier that touches the customer is not the customer's alone; empty if it does not touch them."""
    owner = known.owners.get(identifier, Owner("", ""))
    tied = {tie.owner for tie in known.ties if tie.identifier == identifier} | {owner.owner}
    carriers = known.carriers.get(identifier, set())
    if not (tied | carriers) & keys.keys():
        return ""
    if owner.status and owner.status != "linked":
        return owner.status
    if owner.owner or owners_of.get(identifier, set()) - keys.keys():
        return "it belongs to another customer as well"
    return "touchpoints of other customers carry it" if carriers - keys.keys() else "a person unlinked it"


def find_aliases(clickhouse: ClickHouseWriter, asked: Sequence[str]) -> Aliases:
    """Read what is stored around these record keys, and on from what that leads to. Raises as `Writer.query` does."""
    known, keys = Known(), tuple(asked)
    while True:
        _read_around(clickhouse, keys, known)
        aliases = close(asked, known)
        if set(aliases.keys) == set(keys):
            return aliases
        keys = aliases.keys


def _read_around(clickhouse: ClickHouseWriter, keys: Sequence[str], known: Known) -> None:
    names = {*keys, *map(customer_name, keys)}
    carried = {key for (key,) in _ask(clickhouse, CARRIED_SQL, names) if key.partition(":")[0] in KINDS}
    near = {*keys, *carried}
    # The second look is for what others say of identifiers that the first has brought.
    for _ in range(2):
        known.owners.update(_ask_owners(clickhouse, OWNERS_SQL, near))
        known.ties.update(Tie(*row) for row in _ask(clickhouse, LINKS_SQL, near))
        near |= {tie.identifier for tie in known.ties if tie.owner in names}
        near |= {tie.owner for tie in known.ties if tie.identifier in names}
        near |= {identifier for identifier, owner in known.owners.items() if owner.owner in names}
    _read_ways_up(clickhouse, known)
    carriers = _ask(clickhouse, CARRIERS_SQL, carried)
    known.carriers.update({key: {customer_key(name) for name in found} for key, found in carriers})


def _read_ways_up(clickhouse: ClickHouseWriter, known: Known) -> None:
    """Read to whom each owner comes in the end: only that tells whether two owners are two customers."""
    seen = set[str]()
    further = {tie.owner for tie in known.ties} | {owner.owner for owner in known.owners.values()}
    while further := further - seen - {""}:
        seen |= further
        found = _ask_owners(clickhouse, WAY_UP_SQL, further)
        known.owners.update(found)
        further = {owner.owner for owner in found.values()}


def _ask_owners(clickhouse: ClickHouseWriter, sql: str, keys: Iterable[str]) -> dict[str, Owner]:
    return {identifier: Owner(owner, status) for identifier, owner, status in _ask(clickhouse, sql, keys)}


def _ask(clickhouse: ClickHouseWriter, sql: str, texts: Iterable[str]) -> list[tuple[Any, ...]]:
    # Values go beside the query and never in its text, which servers keep in their logs.
    rows = [{"text": each} for each in sorted(texts)]
    return clickhouse.query_beside(sql, {}, WANTED, rows) if rows else []
