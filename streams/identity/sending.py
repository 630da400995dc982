"""The records that identity has sent: links, touchpoints on their way to their customers, and releases. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from schemas.catalogue import CUSTOMERS_MERGED
from schemas.identifiers import KINDS, record_key
from schemas.links import Link, encode_link, strength
from schemas.topics import IDENTITY_LINKS, REBUILD_HEADER, REBUILD_VALUE, TOUCHPOINTS_REKEYED
from streams.forgotten import BlockList
from streams.identity.hops import Route, encode_arrival, encode_hop, encode_release
from streams.outcome import Outcome, Sending
from streams.records import Arrival, Hop, Release
from streams.touch import Touch

MOST_TAUGHT = 256


def links_of(arrival: Arrival, key: str) -> list[Link]:
    """What a touchpoint says: of each weaker identifier that it carries, and of a customer who was merged into this."""
    said = [
        Link(record_key(kind, arrival.wire.identifiers[kind]), key, "seen_together", *origin(arrival.touch))
        for kind in KINDS[strength(key) + 1 :]
        if kind in arrival.wire.identifiers
    ]
    if arrival.touch.type == CUSTOMERS_MERGED:
        # That it joins two customers the contract has seen to.
        properties = msgspec.json.decode(arrival.wire.properties)
        merged = record_key("customer_id", properties["merged_id"])
        said.append(Link(merged, key, "merged", *origin(arrival.touch), reason=properties["reason"]))
    return said


def origin(touch: Touch) -> tuple[int, str, str]:
    """What identifies the touchpoint that is evidence, and when it happened."""
    return touch.occurred_ms, touch.source, touch.event_id


def memorise(taught: dict[str, tuple[int, str, str]], link: Link, window_ms: int) -> bool:
    """Note what is said of a weaker identifier. False where an earlier touchpoint of the window has said so already."""
    memo = f"{link.occurred_ms // window_ms}:{link.rule[0]}:{link.identifier}"
    said_by = link.occurred_ms, link.source, link.event_id
    told = taught.get(memo)
    if told is not None and said_by >= told:
        return False
    if len(taught) >= MOST_TAUGHT:
        # What is forgotten is at worst said once more.
        del taught[next(iter(taught))]
    taught[memo] = said_by
    return True


def teach(said: Iterable[Link], taught: dict[str, tuple[int, str, str]], window_ms: int, outcome: Outcome) -> bool:
    """Tell what a touchpoint says and none before it; returns whether there is anything such."""
    new = [link for link in said if memorise(taught, link, window_ms)]
    outcome.sendings += map(tell_link, new)
    outcome.links += new
    outcome.identity["taught"] += len(new)
    return bool(new)


def tell_link(link: Link) -> Sending:
    """The record that brings a link to the partition of its identifier."""
    return Sending(IDENTITY_LINKS, link.identifier, link.record_key, encode_link(link))


def forward(way: Route, arrival: Arrival) -> Sending:
    """The record that brings a touchpoint to where it goes next."""
    hop = hop_on(way, arrival)
    return Sending(TOUCHPOINTS_REKEYED, way.key, way.key.encode(), encode_arrival(arrival), (encode_hop(hop),))


def hop_on(way: Route, arrival: Arrival) -> Hop:
    """The hop by which a touchpoint comes to where it goes next; it keeps the time at which it reached the door."""
    return msgspec.structs.replace(way.hop, received_ms=arrival.touch.received_ms)


def turn_away(arrival: Arrival, block_list: BlockList, outcome: Outcome) -> None:
    """Have a touchpoint that has nobody here go to the partition of its customer, unless that one was erased."""
    is_forgotten = block_list.holds(arrival.key)
    if not is_forgotten:
        outcome.sendings.append(forward(Route(arrival.key, arrival.hop), arrival))
    outcome.identity["forgotten" if is_forgotten else "misrouted"] += 1


def tell_release(owner: str, release: Release) -> Sending:
    """The record that has an owner give back what came through an identifier."""
    header, value = encode_release(release)
    return Sending(TOUCHPOINTS_REKEYED, owner, owner.encode(), value, (header,))


def tell_act(link: Link) -> Sending:
    """The record that tells an owner what a person undid or ordered."""
    return tell_release(link.owner, Release(link.identifier, 0, link.occurred_ms, link.rule == "unlinked"))


def tell_rebuild(key: str) -> Sending:
    """The record that has a customer stitched anew from all that is stored."""
    return Sending(TOUCHPOINTS_REKEYED, key, key.encode(), REBUILD_VALUE, ((REBUILD_HEADER, b"1"),))
