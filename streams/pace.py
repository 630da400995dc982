"""The pace of partitions in a backlog: which one is read next, so that all get on together in event time. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import msgspec

from schemas.topics import TOUCHPOINTS
from streams.records import Record

MOST_PASSED_OVER = 8
"""So often at most in a row a partition is passed over, wherever its time has got to: its clock may be wrong."""
LOOKED_AT = 3
"""So many of the last records tell how far a partition has got."""
Place = tuple[str, int]
"""Topic and partition."""


class _Moment(msgspec.Struct):
    occurred_at: datetime


_decode_moment = msgspec.json.Decoder(_Moment).decode


class Pace:
    """Has those partitions of touchpoints lag that are ahead. Of the other topics all is read that there is.

    What a customer does under several identifiers lies in several partitions. Where they are read hours apart, most of
    it has to be stitched twice.
    """

    def __init__(self) -> None:
        self._reached: dict[Place, float] = {}
        self._passed_over: dict[Place, int] = {}

    def choose(self, fetched: Collection[Place], active: Collection[Place]) -> set[Place]:
        """From which of the `active` partitions to take now. `fetched`: those of which something has come."""
        ready = {place for place in fetched if place in active}
        rivals = [place for place in ready if place[0] == TOUCHPOINTS]
        if len(rivals) < 2:
            return set(active)
        chosen = min(rivals, key=self._rank)
        for place in rivals:
            self._passed_over[place] = 0 if place == chosen else self._passed_over.get(place, 0) + 1
        return ready - set(rivals) | {chosen}

    def _rank(self, place: Place) -> tuple[bool, float]:
        return self._passed_over.get(place, 0) < MOST_PASSED_OVER, self._reached.get(place, 0.0)

    def note(self, taken: Mapping[Place, Sequence[Record]]) -> None:
        """See how far partitions have got, by the last records of each, of which some may be late."""
        for place, records in taken.items():
            if place[0] == TOUCHPOINTS:
                moments = [moment for record in records[-LOOKED_AT:] if (moment := _read_moment(record.value))]
                self._reached[place] = max(moments, default=self._reached.get(place, 0.0))


def _read_moment(value: bytes | None) -> float:
    """Epoch seconds; 0 of what says nothing that can be read."""
    try:
        return _decode_moment(value or b"").occurred_at.timestamp()
    except (msgspec.DecodeError, ValueError, OverflowError, OSError, RecursionError):
        return 0.0
