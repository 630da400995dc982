"""A customer and the identifiers that belong to it, as decided: who belongs to whom, and why two are one. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from schemas.identifiers import KINDS
from schemas.links import HUMAN_RULES, strength


@dataclass(frozen=True)
class Decision:
    """A row of `analytics.identity`: to whom an identifier belongs, and what decided that."""

    identifier: str
    owner: str
    status: str
    customers: int
    rule: str
    source: str
    event_id: str
    linked_at: datetime | None
    first_seen_at: datetime | None
    decided_at: datetime

    @property
    def belongs_to(self) -> str:
        """The owner that its touchpoints go to; empty for none, and where following the owner leads in a circle."""
        return "" if self.status == "loop" else self.owner


@dataclass(frozen=True)
class Sighting:
    """How often an identifier was seen with one owner; `owners`: how many owners it was ever seen with."""

    identifier: str
    owner: str
    times: int
    first_at: datetime
    last_at: datetime
    owners: int


@dataclass(frozen=True)
class Statement:
    """That customers were merged, or that a person undid or ordered a link. `rule` as in `schemas.links`."""

    identifier: str
    owner: str
    rule: str
    occurred_at: datetime
    source: str
    event_id: str
    by: str
    reason: str

    @property
    def is_human(self) -> bool:
        """Whether a person said so, and no touchpoint."""
        return self.rule in HUMAN_RULES


@dataclass(frozen=True)
class Family:
    """What is known around one identifier. `types`: of touchpoints by (source, event_id), as far as they are stored.

    `others` were seen with a member and belong elsewhere, or to nobody. `is_whole` says whether every member is there;
    `touchpoints` counts those of the customer.
    """

    asked: str
    decisions: Mapping[str, Decision]
    others: Mapping[str, Decision] = field(default_factory=dict)
    sightings: tuple[Sighting, ...] = ()
    statements: tuple[Statement, ...] = ()
    types: Mapping[tuple[str, str], str] = field(default_factory=dict)
    touchpoints: int = 0
    is_whole: bool = True

    @property
    def root(self) -> str:
        """The record key of the customer: of the last owner on the way up."""
        return self.path(self.asked)[-1]

    def owner_of(self, key: str) -> str:
        """The identifier one hop up; empty if there is none."""
        found = self.decisions.get(key)
        return found.belongs_to if found is not None else ""

    def path(self, key: str) -> list[str]:
        """The identifier, its owner, that one's owner and so on; a circle is walked once."""
        return list(climb(key, self.owner_of))

    def members(self) -> list[str]:
        """All identifiers from the root down, the stronger before the weaker, each below its owner."""
        return [key for key, _ in self.walk()]

    def walk(self) -> Iterator[tuple[str, int]]:
        """Each member with its depth below the root, the owner before what belongs to it."""
        below: dict[str, list[str]] = {}
        for key in sorted(self.decisions, key=order_of):
            below.setdefault(self.owner_of(key), []).append(key)
        seen: set[str] = set()
        pending = [(self.root, 0)]
        while pending:
            key, depth = pending.pop()
            if key in seen:
                continue
            seen.add(key)
            yield key, depth
            pending += [(each, depth + 1) for each in reversed(below.get(key, []))]

    def seen_with(self, key: str) -> list[Sighting]:
        """With whom an identifier was seen, the earliest first."""
        return sorted((each for each in self.sightings if each.identifier == key), key=lambda each: each.first_at)

    def said_of(self, key: str) -> list[Statement]:
        """Merges and human acts that concern an identifier as the weaker one, oldest first."""
        return [each for each in in_order(self.statements) if each.identifier == key]

    def last_unlinking(self, key: str) -> Statement | None:
        """The latest act that took an identifier away from an owner, where nothing ordered that pair afterwards."""
        acts = [each for each in standing_acts(self.said_of(key)) if each.rule == "unlinked"]
        return max(acts, key=lambda each: each.occurred_at, default=None)


def climb(key: str, owner_of: Callable[[str], str]) -> Iterator[str]:
    """The identifier and its owners, hop by hop; stops where a circle closes."""
    seen: set[str] = set()
    while key and key not in seen:
        seen.add(key)
        yield key
        key = owner_of(key)


def order_of(key: str) -> tuple[int, str]:
    """Identifiers in the order in which they are shown: the strongest kind first."""
    kind = key.partition(":")[0]
    return (strength(key) if kind in KINDS else len(KINDS)), key


def in_order(statements: Iterable[Statement]) -> list[Statement]:
    """Statements as they were made."""
    return sorted(statements, key=lambda each: (each.occurred_at, each.event_id))


def standing_acts(statements: Iterable[Statement]) -> list[Statement]:
    """Of each pair the human act that counts: the latest."""
    latest = {(each.identifier, each.owner): each for each in in_order(statements) if each.is_human}
    return list(latest.values())


@dataclass(frozen=True)
class Joint:
    """Why two identifiers are one customer: the ways of both to `common`; or None where nothing joins them."""

    first: tuple[str, ...]
    second: tuple[str, ...]
    common: str | None


def join(first: Family, second: Family) -> Joint:
    """The ways of two identifiers up to the first owner that they share, or up to their customers."""
    one, other = first.path(first.asked), second.path(second.asked)
    common = next((key for key in one if key in other), None)
    if common is None:
        return Joint(tuple(one), tuple(other), None)
    return Joint(tuple(one[: one.index(common) + 1]), tuple(other[: other.index(common) + 1]), common)


def between(families: Iterable[Family], joint: Joint) -> tuple[list[Sighting], list[Statement]]:
    """What links and acts say of pairs of which one identifier is on the one way and the other on the other."""
    one, other = set(joint.first), set(joint.second)

    def crosses(identifier: str, owner: str) -> bool:
        return (identifier in one and owner in other) or (identifier in other and owner in one)

    known = tuple(families)
    sightings = {each: None for family in known for each in family.sightings if crosses(each.identifier, each.owner)}
    statements = {each: None for family in known for each in family.statements if crosses(each.identifier, each.owner)}
    return list(sightings), in_order(statements)
