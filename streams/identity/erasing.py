"""Erasing: an identifier is taken out of what is known of others, and off their touchpoints. Pure."""

from __future__ import annotations

from schemas.identifiers import record_key
from streams.forgotten import BlockList
from streams.identity.state import IdentityState
from streams.records import Arrival


def strip(arrival: Arrival, block_list: BlockList) -> None:
    """Take erased identifiers off a touchpoint of somebody else."""
    identifiers = arrival.wire.identifiers
    if any(block_list.holds(record_key(kind, value)) for kind, value in identifiers.items()):
        kept = {kind: value for kind, value in identifiers.items() if not block_list.holds(record_key(kind, value))}
        arrival.wire.identifiers = kept


def purge(state: IdentityState, erased: str) -> bool:
    """Take an erased identifier out of the state of another; returns whether it was named there."""
    before = len(state.evidence), len(state.released), len(state.taught), len(state.formers)
    state.evidence = [each for each in state.evidence if each.owner != erased]
    state.released.pop(erased, None)
    state.taught = {memo: told for memo, told in state.taught.items() if not memo.endswith(f":{erased}")}
    state.formers = [former for former in state.formers if former != erased]
    after = len(state.evidence), len(state.released), len(state.taught), len(state.formers)
    return before != after or state.owner == erased
