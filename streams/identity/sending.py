"""The records that identity has sent: links, touchpoints on their way to their customers, and releases. Pure."""

from __future__ import annotations

import msgspec

from schemas.catalogue import CUSTOMERS_MERGED
from schemas.identifiers import KINDS, is_placeholder, record_key
from schemas.links import Link, encode_link, strength
from schemas.topics import IDENTITY_LINKS, REBUILD_HEADER, REBUILD_VALUE, TOUCHPOINTS_REKEYED
from streams.identity.hops import Route, encode_arrival, encode_hop, encode_release
from streams.outcome import Sending
from streams.records import Arrival, Release
from streams.touch import Touch


def links_of(arrival: Arrival, key: str) -> list[Link]:
    """What a touchpoint says: of each weaker identifier that it carries, and of a customer who was merged into this."""
    said = [
        Link(record_key(kind, arrival.wire.identifiers[kind]), key, "seen_together", *origin(arrival.touch))
        for kind in KINDS[strength(key) + 1 :]
        if kind in arrival.wire.identifiers
    ]
    if arrival.touch.type == CUSTOMERS_MERGED and (merged := _merge_of(arrival, key)) is not None:
        said.append(merged)
    return said


def _merge_of(arrival: Arrival, key: str) -> Link | None:
    """The link that a merge record states; None where it does not join two customers."""
    properties = msgspec.json.decode(arrival.wire.properties)
    merged_id = str(properties["merged_id"])
    merged = record_key("customer_id", merged_id)
    if strength(key) != 0 or merged == key or is_placeholder(merged_id):
        return None
    return Link(merged, key, "merged", *origin(arrival.touch), reason=str(properties["reason"]))


def origin(touch: Touch) -> tuple[int, str, str]:
    """What identifies the touchpoint that is evidence, and when it happened."""
    return touch.occurred_ms, touch.source, touch.event_id


def tell_link(link: Link) -> Sending:
    """The record that brings a link to the partition of its identifier."""
    return Sending(IDENTITY_LINKS, link.identifier, link.record_key, encode_link(link))


def forward(way: Route, arrival: Arrival) -> Sending:
    """The record that brings a touchpoint to where it goes next."""
    hop = msgspec.structs.replace(way.hop, received_ms=arrival.touch.received_ms)
    return Sending(TOUCHPOINTS_REKEYED, way.key, way.key.encode(), encode_arrival(arrival), (encode_hop(hop),))


def forward_misrouted(arrival: Arrival) -> Sending:
    """The record that brings a touchpoint to the partition of its customer."""
    return forward(Route(arrival.key, arrival.hop), arrival)


def tell_release(owner: str, release: Release) -> Sending:
    """The record that has an owner give back what came through an identifier."""
    header, value = encode_release(release)
    return Sending(TOUCHPOINTS_REKEYED, owner, owner.encode(), value, (header,))


def tell_rebuild(key: str) -> Sending:
    """The record that has a customer stitched anew from all that is stored."""
    return Sending(TOUCHPOINTS_REKEYED, key, key.encode(), REBUILD_VALUE, ((REBUILD_HEADER, b"1"),))
