"""Links of a backfill: to whom identifiers belong by all evidence, and in which order their history moves. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from schemas.identifiers import KINDS
from streams.identity.asking import Known
from streams.identity.choice import Decision, Evidence, Limits, add_evidence, decide
from streams.identity.shelf import Decided

WEAK_KINDS = KINDS[:0:-1]
"""Kinds whose links lead to stronger ones, the weakest first: in this order everything gets to its customer."""


class Change(NamedTuple):
    """A decision that differs from the one before, and the owner that was; empty if there was none."""

    decided: Decided
    former: str


def decide_anew(
    known: Mapping[str, Known], limits: Limits, version: Callable[[str], int], first_ms: Mapping[str, int]
) -> Iterator[Change]:
    """Those identifiers on which the evidence says something else than was decided.

    `version` of a decision by its identifier, `first_ms`: the first touchpoint under an identifier alone, if any.
    """
    for identifier, before in known.items():
        kept: list[Evidence] = []
        for each in before.evidence:
            add_evidence(kept, each, limits)
        decision = decide(identifier, kept, limits)
        if (decision.owner, decision.status) != (before.owner, before.status):
            number = max(version(identifier), before.version + 1)
            decided = Decided(identifier, decision, first_ms.get(identifier, 0), number)
            yield Change(decided, before.owner if before.owner != decision.owner else "")


class Merges(NamedTuple):
    """How merged customers move: `levels` one after another, so that nobody moves before who moves to him.

    `settled`: of each circle the smallest by name, where all of it stays.
    """

    levels: list[list[str]]
    settled: set[str]


def order_merges(owners: Mapping[str, str]) -> Merges:
    """The order for customers, by record key, of whom each belongs to another."""
    settled = set[str]()
    for start in owners:
        way = [start]
        while (onward := owners.get(way[-1])) is not None and onward not in way:
            way.append(onward)
        if onward is not None and onward == start:
            settled.add(min(way))
    heights = dict[str, int]()
    for start in owners.keys() - settled:
        key, height = start, 0
        while key in owners and key not in settled and heights.get(key, -1) < height:
            heights[key] = height
            key, height = owners[key], height + 1
    levels: list[list[str]] = [[] for _ in range(max(heights.values(), default=-1) + 1)]
    for key, height in sorted(heights.items()):
        levels[height].append(key)
    return Merges(levels, settled)


def mark_circle(key: str, owner: str, version: int) -> Decided:
    """What is written of a customer with whom a circle of merge records ends."""
    return Decided(key, Decision(owner, "loop", 1), 0, version)
