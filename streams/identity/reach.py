"""How far a touchpoint gets within one flush. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from streams.identity.hops import Route
from streams.identity.sending import forward, hop_on
from streams.outcome import Outcome
from streams.records import Arrival


class Reach(NamedTuple):
    """`is_near`: whether the owner of a key is in the same worker, which writes both in one flush.

    `is_handed`: it has come by decisions that may not be written yet. So it must not leave the worker.
    """

    is_near: Callable[[str], bool]
    is_handed: bool


NOWHERE = Reach(lambda key: False, is_handed=False)


def send_on(way: Route, arrival: Arrival, reach: Reach, outcome: Outcome) -> None:
    """Have an arrival go its way: handed over where that is near, else as a record."""
    if not reach.is_near(way.key):
        outcome.sendings.append(forward(way, arrival))
        return
    hand(way, arrival, outcome)


def hand(way: Route, arrival: Arrival, outcome: Outcome) -> None:
    """Have an arrival handed over within the worker."""
    arrival.key, arrival.is_plain = way.key, False
    arrival.hop = hop_on(way, arrival)
    arrival.touch.moves = way.hop.moves
    outcome.handed[way.key].append(arrival)
