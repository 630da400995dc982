"""Who must have each touchpoint in the end: plain lines from the definition, not from the worker's code."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from schemas.identifiers import KINDS
from streams.touch import Touch
from tests.streams.identity_world import Act, Told
from tests.streams.oracle import expect
from tests.streams.scenes import limits

Members = set[tuple[str, str, tuple[str, ...]]]
"""Customer, journey id and event ids."""


def owners(told: Sequence[Told], window_ms: int, most: Mapping[str, int], acts: Iterable[Act] = ()) -> dict[str, str]:
    """The final customer, as a record key, of each event id."""
    said = [
        (f"{kind}:{value}", each.key, each)
        for each in told
        for kind, value in each.identifiers.items()
        if f"{kind}:{value}" != each.key
    ]
    for each in told:
        if each.type == "customers_merged" and each.key.startswith("customer_id:"):
            said.append((f"customer_id:{each.properties['merged_id']}", each.key, each))
    acts = list(acts)
    keys = {key for key, _, _ in said} | {act[0] for act in acts}
    links = {key: owner for key in keys if (owner := _choose(key, said, window_ms, most, acts))}
    last = {(act[0], act[1]): act[2] for act in sorted(acts, key=lambda act: act[3])}
    barred = {pair for pair, what in last.items() if what == "unlinked"}
    return {each.event_id: _follow(each.key, links, barred) for each in told}


def journeys(told: Iterable[Told], final: Mapping[str, str], now_ms: int) -> Members:
    """The journeys of touchpoints that are in the end with these customers."""
    seen = [
        (final[each.event_id], Touch(each.occurred_ms, "web", each.event_id, each.type, each.occurred_ms))
        for each in told
        if each.type != "customers_merged"
    ]
    return shown(expect(seen, limits(), (), now_ms).journeys)


def shown(found: Iterable[tuple[Any, ...]]) -> Members:
    """Journeys of the oracle as `tests.streams.identity_world.members` has them."""
    return {(row[0], row[1], tuple(name.removeprefix("web/") for name in row[4])) for row in found}


def _choose(
    key: str, said: Sequence[tuple[str, str, Told]], window_ms: int, most: Mapping[str, int], acts: Iterable[Act]
) -> str | None:
    mine = sorted((act for act in acts if act[0] == key), key=lambda act: act[3])
    last = {owner: what for _, owner, what, _ in mine}
    ordered = [owner for _, owner, what, _ in mine if what == "relinked" and last[owner] == "relinked"]
    if ordered:
        return ordered[-1]
    found = [(owner, each) for weaker, owner, each in said if weaker == key and last.get(owner) != "unlinked"]
    found = [(owner, each) for owner, each in found if owner != key]
    groups: dict[tuple[str, int], set[str]] = {}
    for owner, each in found:
        groups.setdefault((owner.split(":")[0], each.occurred_ms // window_ms), set()).add(owner)
    limit = most.get(key.split(":")[0])
    if limit is not None and any(len(group) > limit for group in groups.values()):
        return None
    ranked = sorted(found, key=lambda pair: (_strength(pair[0]), pair[1].occurred_ms, pair[1].event_id, pair[0]))
    return ranked[0][0] if ranked else None


def _strength(key: str) -> int:
    return KINDS.index(key.split(":")[0])


def _follow(key: str, links: Mapping[str, str], barred: Container[tuple[str, str]]) -> str:
    passed: list[str] = []
    while key in links and key not in passed:
        passed.append(key)
        key = links[key]
        # What a person took from somebody does not come to him by a detour either.
        for name in passed[:-1]:
            if (name, key) in barred:
                return name
    return min(passed[passed.index(key) :]) if key in passed else key
