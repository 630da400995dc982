"""What may be read again after a flush that was cut off. Pure."""

from __future__ import annotations

from collections.abc import Sequence, Set

from schemas.topics import TOUCHPOINTS
from streams.records import Arrival, DecodedChunk

Told = tuple[str, str, int]
"""(source, event id, epoch milliseconds of when it happened): two records of the same are one touchpoint."""
NOTHING: Set[Told] = frozenset()
ENDLESS = 2**63


class Retaken:
    """Touchpoints that stay late when they are read again.

    What came after them may be in the stored state already. Judged by that they could be in time, and a death would
    show in the results.
    """

    def __init__(
        self, late: Sequence[tuple[str, str, int, int]] = (), position: int = 0, taken_until: int = ENDLESS
    ) -> None:
        """`late`: what was told of each, and its offset. `position`: where the last complete flush ended.

        `taken_until`: the first offset that no former owner can have got to; 0 where there never was one.
        """
        self._position = position
        self._taken_until = taken_until
        self._late: Set[Told] = {(source, event_id, occurred_ms) for source, event_id, occurred_ms, _ in late}
        self._last = max((offset for *_, offset in late), default=0)

    def may_be_written(self, arrival: Arrival) -> bool:
        """Whether a former owner may have taken this and have written it."""
        return not arrival.is_plain or arrival.offset < self._taken_until

    def of(self, chunk: DecodedChunk) -> Set[Told]:
        """Those that may be in this chunk."""
        if chunk.topic != TOUCHPOINTS:
            return NOTHING
        if self._late and chunk.arrivals and chunk.arrivals[0].offset > self._last:
            self._late = NOTHING
        return self._late

    def check_end(self, end: int | None) -> None:
        """Know nothing any more where the topic has started over: what comes there is sent anew.

        It is known by an end far before the position; a little too low is what some brokers report.
        """
        if end is not None and end < self._position // 2:
            self._late = NOTHING
