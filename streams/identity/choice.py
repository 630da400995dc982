"""The choice: to whom an identifier belongs, by all that was ever said of it, in whatever order. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import msgspec

from schemas.links import HUMAN_RULES, MOST_OWNERS_KEPT, Link, LinkRule, strength

Status = Literal["", "linked", "conflict", "flagged", "unlinked", "loop"]
ENDS = frozenset({"loop", "unlinked"})
"""What is decided of an identifier that has an owner to whom nothing gets."""

MOST_OWNERS: Mapping[str, int] = {"loyalty_id": 3, "phone": 3, "email": 3, "device_id": 5, "anonymous_id": 3}
"""A household shares a phone or a card, a few people a device; a tablet in a store is everybody's and nobody's."""
UNIQUE_KINDS = frozenset({"loyalty_id", "phone", "email"})
"""Kinds that one person has for himself: with a second owner something is wrong that somebody should look at."""
DAY_MS = 86_400_000


@dataclass(frozen=True)
class Limits:
    """With how many owners of one kind in one window an identifier still links. Windows do not slide.

    `unique_kinds`: those that one person has for himself. `nobody`: values that never link, whatever their kind.
    """

    window_ms: int = 30 * DAY_MS
    most_owners: Mapping[str, int] = field(default_factory=lambda: MOST_OWNERS)
    unique_kinds: frozenset[str] = UNIQUE_KINDS
    nobody: frozenset[str] = frozenset()

    def most(self, identifier: str) -> int | None:
        """The limit of an identifier's kind; None where there is none."""
        return self.most_owners.get(identifier.partition(":")[0])

    def is_nobody(self, identifier: str) -> bool:
        """Whether an identifier's value names nobody."""
        return bool(self.nobody) and identifier.partition(":")[2] in self.nobody


class Evidence(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What the owner of an identifier keeps of a link: all but the identifier itself and what only people read."""

    owner: str
    rule: LinkRule
    occurred_ms: int
    source: str
    event_id: str

    @classmethod
    def of(cls, link: Link) -> Evidence:
        """What is kept of a link."""
        return cls(link.owner, link.rule, link.occurred_ms, link.source, link.event_id)

    @property
    def rank(self) -> tuple[int, int, str, str, str]:
        """The strongest kind of owner counts, then what was seen first."""
        return strength(self.owner), self.occurred_ms, self.source, self.event_id, self.owner


class Decision(NamedTuple):
    """To whom an identifier belongs. `owners`: how many of one kind it was seen with in its busiest window."""

    owner: str = ""
    status: Status = ""
    owners: int = 0
    evidence: Evidence | None = None


def decide(identifier: str, evidence: Iterable[Evidence], limits: Limits) -> Decision:
    """The owner that the evidence speaks for.

    What a person ordered last counts; what a person undid does not. Otherwise the strongest kind of owner wins and of
    its owners the one seen first, unless in any window there were more of one kind than the limit: then none does.
    """
    given = list(evidence)
    acts = _last_acts(given)
    ordered = [act for act in acts.values() if act.rule == "relinked"]
    if ordered:
        act = max(ordered, key=_moment)
        return Decision(act.owner, "linked", 1, act)
    undone = {owner for owner, act in acts.items() if act.rule == "unlinked"}
    free = [each for each in given if each.owner not in undone and may_link(identifier, each)]
    if free and limits.nobody:
        free = [each for each in free if not limits.is_nobody(each.owner)]
        if not free or limits.is_nobody(identifier):
            return Decision("", "flagged", 0)
    if not free:
        return Decision("", "unlinked" if undone else "")
    owners = _count_owners(free, limits.window_ms)
    most = limits.most(identifier)
    if most is not None and owners > most:
        return Decision("", "flagged", owners)
    best = min(free, key=lambda each: each.rank)
    has_rivals = any(each.owner != best.owner and strength(each.owner) == strength(best.owner) for each in free)
    is_unique = most is None or identifier.partition(":")[0] in limits.unique_kinds
    return Decision(best.owner, "conflict" if has_rivals and is_unique else "linked", owners, best)


def may_link(identifier: str, evidence: Evidence) -> bool:
    """Whether what was seen could join the two at all: only a merge record joins two of the same kind."""
    if evidence.rule in HUMAN_RULES:
        return False
    weaker, stronger = strength(identifier), strength(evidence.owner)
    return stronger < weaker or (evidence.rule == "merged" and stronger == weaker == 0)


def add_evidence(kept: list[Evidence], new: Evidence, limits: Limits) -> bool:
    """Keep new evidence where it could decide anything; returns whether it was kept.

    Of one owner, rule and window the first is enough, and of a window full of owners of one kind those that were seen
    first: so it is bounded, however many customers share an identifier, and order of arrival changes nothing.
    """
    if new.rule in HUMAN_RULES:
        if new in kept:
            return False
        kept.append(new)
        return True
    window, kind = new.occurred_ms // limits.window_ms, strength(new.owner)
    rivals = []
    for place, each in enumerate(kept):
        if each.rule != new.rule or each.occurred_ms // limits.window_ms != window or strength(each.owner) != kind:
            continue
        if each.owner == new.owner:
            if new.rank < each.rank:
                kept[place] = new
                return True
            return False
        rivals.append(place)
    if len(rivals) <= MOST_OWNERS_KEPT:
        kept.append(new)
        return True
    last = max(rivals, key=lambda place: kept[place].rank)
    if new.rank < kept[last].rank:
        kept[last] = new
        return True
    return False


def _last_acts(evidence: Iterable[Evidence]) -> dict[str, Evidence]:
    last: dict[str, Evidence] = {}
    for act in sorted((each for each in evidence if each.rule in HUMAN_RULES), key=_moment):
        last[act.owner] = act
    return last


def _moment(act: Evidence) -> tuple[int, str]:
    return act.occurred_ms, act.event_id


def _count_owners(evidence: Iterable[Evidence], window_ms: int) -> int:
    seen: defaultdict[tuple[int, int], set[str]] = defaultdict(set)
    for each in evidence:
        seen[strength(each.owner), each.occurred_ms // window_ms].add(each.owner)
    return max(map(len, seen.values()))
