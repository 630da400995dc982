"""Hops: the way of a touchpoint from the identifier that it came under to the customer to whom that belongs. Pure."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import NamedTuple

import msgspec

from schemas.identifiers import KINDS, is_clean_text
from schemas.moments import format_epoch_ms
from schemas.topics import HOP_HEADER, REBUILD_HEADER, RELEASE_HEADER
from streams.records import Arrival, Hop, Record, Release

MOST_HOPS = 100
"""A longer way can only be a circle that nobody noticed: what comes that far stays where it is."""

_encode = msgspec.json.Encoder().encode
_decode_hop = msgspec.json.Decoder(Hop).decode


_decode_release = msgspec.json.Decoder(Release).decode


class Route(NamedTuple):
    """Where a touchpoint goes next. `is_circle`: its way has led back to where it was before."""

    key: str
    hop: Hop
    is_circle: bool = False


def route(
    key: str, owner: str, version: int, hop: Hop, released: Mapping[str, int], barred: Container[str] = ()
) -> Route | None:
    """Where a touchpoint that has come to `key` goes from there; None: it stays.

    `owner`: to whom the key belongs by the link of this version, `""` if to nobody; `released`: up to which versions
    the links of identifiers are undone. What came through a link that was undone since goes back, and so does what
    came through one that is `barred` here, unless that belongs to the key itself. A circle of links ends at the
    smallest of its keys.
    """
    for place, (identifier, linked) in enumerate(hop.via):
        if released and linked < released.get(identifier, 0):
            return Route(identifier, Hop(hop.via[:place], hop.moves + 1, hop.received_ms))
        if identifier in barred and place + 1 < len(hop.via):
            return Route(identifier, Hop(hop.via[:place], hop.moves + 1, hop.received_ms, hop.via[place:], key))
    if not owner or is_settled(key, version, hop, released) or len(hop.via) >= MOST_HOPS:
        return None
    passed = [identifier for identifier, _ in hop.via]
    onward = (*hop.via, (key, version))
    if owner not in passed:
        return Route(owner, Hop(onward, hop.moves + 1, hop.received_ms))
    circle = onward[passed.index(owner) :]
    smallest = min(identifier for identifier, _ in circle)
    if smallest == key:
        return Route(key, Hop(hop.via, hop.moves, hop.received_ms, circle), True)
    place = passed.index(smallest)
    return Route(smallest, Hop(hop.via[:place], hop.moves + 1, hop.received_ms, circle), True)


def is_settled(key: str, version: int, hop: Hop, released: Mapping[str, int]) -> bool:
    """Whether a touchpoint has been around a circle of links that, for all that is known here, still is one."""
    return (key, version) in hop.circle and not any(linked < released.get(name, 0) for name, linked in hop.circle)


def encode_hop(hop: Hop) -> tuple[str, bytes]:
    """The header of a record that makes a hop."""
    return HOP_HEADER, _encode(hop)


def read_hop(record: Record) -> Hop | None:
    """The hop that a record of `touchpoints-rekeyed` makes; None where it says nothing that can be read."""
    for name, value in record.headers:
        if name == HOP_HEADER:
            try:
                return _decode_hop(value)
            except (msgspec.DecodeError, UnicodeDecodeError, TypeError):
                return None
    return None


def read_key(record: Record) -> str | None:
    """The customer to whom a record was sent on, by its key; None where that is none."""
    try:
        key = (record.key or b"").decode()
    except UnicodeDecodeError:
        return None
    kind, _, value = key.partition(":")
    return key if kind in KINDS and is_clean_text(value) else None


def encode_release(release: Release) -> tuple[tuple[str, bytes], bytes]:
    """Header and value of the record of a release."""
    value = _encode(release)
    return (RELEASE_HEADER, value), value


def read_releases(records: Sequence[Record]) -> list[tuple[str, Release]]:
    """The releases among records, each with the key of whom it concerns."""
    found = []
    for record in records:
        for name, value in record.headers:
            if name == RELEASE_HEADER and (key := read_key(record)) is not None:
                try:
                    found.append((key, _decode_release(value)))
                except msgspec.DecodeError:
                    continue
    return found


def read_rebuilds(records: Sequence[Record]) -> list[str]:
    """The keys of customers of whom records ask that they are stitched anew."""
    keys = [read_key(record) for record in records if any(name == REBUILD_HEADER for name, _ in record.headers)]
    return [key for key in keys if key is not None]


def is_instruction(record: Record) -> bool:
    """Whether a record is no touchpoint but a release, or asks for a rebuild."""
    return any(name in (RELEASE_HEADER, REBUILD_HEADER) for name, _ in record.headers)


class _Told(msgspec.Struct, omit_defaults=True, gc=False):
    event_id: str
    source: str
    type: str
    occurred_at: str
    identifiers: dict[str, str]
    properties: msgspec.Raw
    schema_version: int
    order_id: str | None = None
    case_id: str | None = None
    store_id: str | None = None
    agent_id: str | None = None
    channel: str | None = None
    sent_at: str | None = None


def encode_arrival(arrival: Arrival) -> bytes:
    """The touchpoint of an arrival as it is sent on: as it came, but with personal identifiers hidden."""
    touch, wire = arrival.touch, arrival.wire
    occurred_ms = touch.occurred_ms if arrival.original_ms is None else arrival.original_ms
    told = _Told(
        touch.event_id, touch.source, touch.type, format_epoch_ms(occurred_ms), wire.identifiers, wire.properties,
        wire.schema_version, touch.order_id, touch.case_id, touch.store_id, touch.agent_id, touch.channel,
        format_epoch_ms(arrival.sent_ms) if arrival.sent_ms else None,
    )  # fmt: skip
    return _encode(told)
