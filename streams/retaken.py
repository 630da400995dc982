"""What was found late, and may be read again after a flush that was cut off. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Set
from typing import NamedTuple

from schemas.topics import TOUCHPOINTS
from streams.records import DecodedChunk

Told = tuple[str, str, int]
"""(source, event id, when it happened): what makes two records the same touchpoint of the same time."""
NOTHING: Set[Told] = frozenset()


class LateRecord(NamedTuple):
    """A record of `touchpoints` that was found late. Times are epoch milliseconds."""

    source: str
    event_id: str
    occurred_ms: int
    offset: int


class Retaken:
    """Touchpoints that stay late when they are read again.

    What came after them may be in the stored state already. Judged by that they could be in time, and a death would
    show in the results.
    """

    def __init__(self, late: Iterable[LateRecord] = (), position: int = 0) -> None:
        """`position`: where the last complete flush ended."""
        found = list(late)
        self._position = position
        self._late: Set[Told] = {record[:3] for record in found}
        self._last = max((record.offset for record in found), default=0)

    def of(self, chunk: DecodedChunk) -> Set[Told]:
        """Those that may be in this chunk."""
        if self._late and chunk.topic == TOUCHPOINTS and chunk.arrivals and chunk.arrivals[0].offset > self._last:
            self._late = NOTHING
        return self._late if chunk.topic == TOUCHPOINTS else NOTHING

    def check_end(self, end: int | None) -> None:
        """Know nothing any more where the topic has started over: what comes there is sent anew.

        It is known by an end far before the position; a little too low is what some brokers report.
        """
        if end is not None and end < self._position // 2:
            self._late = NOTHING
