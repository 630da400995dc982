"""Erasing: an identifier is taken out of what is known of others, and off their touchpoints. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from schemas.catalogue import CUSTOMERS_MERGED
from schemas.identifiers import PERSONAL_KINDS, Pseudonymiser, record_key
from streams.forgotten import BlockList
from streams.identity.state import IdentityState
from streams.records import Arrival, DecodedChunk, Refusal


def admit(arrival: Arrival, block_list: BlockList) -> bool:
    """Take erased identifiers off a touchpoint of somebody else. False where it tells of nothing but an erased one."""
    if arrival.touch.type == CUSTOMERS_MERGED:
        merged = msgspec.json.decode(arrival.wire.properties).get("merged_id")
        if block_list.holds(record_key("customer_id", str(merged))):
            return False
    named = arrival.wire.identifiers.items()
    arrival.wire.identifiers = {kind: value for kind, value in named if not block_list.holds(record_key(kind, value))}
    return True


def without_erased(chunk: DecodedChunk, block_list: BlockList) -> list[Refusal]:
    """What a chunk refuses that names nobody who was erased: a dead letter would bring him back whole.

    As far as it can be read, and its personal identifiers be hidden.
    """
    return [
        refusal for refusal in chunk.refusals
        if not any(block_list.holds(key) for key in _keys_of(refusal, chunk.pseudonymiser))
    ]  # fmt: skip


def _keys_of(refusal: Refusal, pseudonymiser: Pseudonymiser | None) -> Iterator[str]:
    yield refusal.key.decode(errors="replace")
    try:
        said = msgspec.json.decode(refusal.raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    if isinstance(said, dict):
        yield from _named_in(said, pseudonymiser)


def _named_in(said: dict[str, Any], pseudonymiser: Pseudonymiser | None) -> Iterator[str]:
    identifiers, properties = said.get("identifiers"), said.get("properties")
    for kind, text in identifiers.items() if isinstance(identifiers, dict) else ():
        values: Iterable[str] = (str(text),)
        if kind in PERSONAL_KINDS and pseudonymiser is not None:
            try:
                values = pseudonymiser.hide_all_keys(kind, str(text))
            except ValueError:
                continue
        yield from (record_key(kind, each) for each in values)
    if isinstance(properties, dict) and (merged := properties.get("merged_id")) is not None:
        yield record_key("customer_id", str(merged))


def purge(state: IdentityState, erased: str) -> bool:
    """Take an erased identifier out of the state of another; returns whether it was named there."""
    before = len(state.evidence), len(state.released), len(state.taught), len(state.formers)
    state.evidence = [each for each in state.evidence if each.owner != erased]
    state.released.pop(erased, None)
    state.taught = {memo: told for memo, told in state.taught.items() if not memo.endswith(f":{erased}")}
    state.formers = [former for former in state.formers if former != erased]
    after = len(state.evidence), len(state.released), len(state.taught), len(state.formers)
    return before != after or state.owner == erased
