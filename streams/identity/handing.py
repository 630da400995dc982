"""Handing over what waits under weaker identifiers: much at once, as all under one of them goes the same way. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from schemas.catalogue import UNSTITCHED
from streams.identity.hops import Route
from streams.identity.reach import Reach, hand
from streams.identity.state import IdentityState
from streams.outcome import Outcome
from streams.records import Hop
from streams.waiting import Waited

if TYPE_CHECKING:
    from streams.partition import Partition

LOGIN_WITHIN_MS = 2 * 3_600_000
"""So long after its last touchpoint a visit is likely to be found to be somebody's. It ends with half an hour of
silence, and its login, where that lies in another partition, is read up to an hour or so of event time later.
"""


def may_wait(partition: Partition, key: str, waited: Waited) -> bool:
    """Whether it may be known by the next flush whose this is: a visit that goes on, or evidence not looked up yet."""
    customer = partition.hot.get(key)
    if customer is None:
        return key not in partition.cold and _goes_on(partition, waited)
    state = customer.identity
    if customer.log or state is None or state.owner:
        return False
    return not state.is_known or _goes_on(partition, waited)


def _goes_on(partition: Partition, waited: Waited) -> bool:
    last_ms = max(arrival.touch.occurred_ms for arrival, _ in waited)
    return last_ms + LOGIN_WITHIN_MS >= partition.time_ms


def hand_over(partition: Partition, due: Mapping[str, Waited], reach: Reach, outcome: Outcome) -> Waited:
    """Hand over what belongs to customers within reach; returns the rest, key by key."""
    rest: Waited = []
    for key, waited in due.items():
        customer = partition.known(key)
        if customer is None or (state := customer.identity) is None or not _is_simple(partition, state, waited, reach):
            rest += waited
            continue
        if any(partition.retaken.may_be_written(arrival) for arrival, _ in waited):
            partition.identities.move(customer, state)
        state.active_ms = max(state.active_ms, waited[-1][1])
        way = Route(state.owner, Hop(((key, state.version),), 1))
        for arrival, _ in waited:
            hand(way, arrival, outcome)
        outcome.identity["forwarded"] += len(waited)
    return rest


def _is_simple(partition: Partition, state: IdentityState, waited: Waited, reach: Reach) -> bool:
    """Whether all goes to one owner within reach who was not erased, and nothing of it says anything itself."""
    if not state.is_known or not state.destination or not reach.is_near(state.owner):
        return False
    if partition.block_list.holds(state.owner):
        return False
    return not any(arrival.touch.type in UNSTITCHED for arrival, _ in waited)
