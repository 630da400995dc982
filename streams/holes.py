"""Holes: offsets missing between what was read and what came next, and whether to wait for them. Pure.

Some holes stay: compaction, transaction marks and expired retention leave them. Others fill: a broker may show a batch
before the one that stands before it, as the memory-only one does when two producers write to a partition at once, and
whoever reads on then has lost that. Nothing in a fetched batch tells the two apart, but time does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

PATIENCE_SECONDS = 0.5
HOLE_PAUSE_SECONDS = 0.02
"""Between two looks at the same hole."""
MOST_IN_VAIN = 3
"""After so many holes of a topic that stayed, and none that filled, the next ones are believed at once."""

Place = tuple[str, int]
"""Topic and partition."""


class HasOffset(Protocol):
    """A record as it was read."""

    @property
    def offset(self) -> int: ...


class Holes:
    """What is known of holes while one assignment lasts."""

    def __init__(self, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._patience_seconds = patience_seconds
        self._awaited: dict[Place, tuple[int, float]] = {}
        self._in_vain: Counter[str] = Counter()

    def forget(self) -> None:
        """Begin anew with what is waited for."""
        self._awaited.clear()

    def cut(
        self, place: Place, records: Sequence[HasOffset], expected: int | None, now: float
    ) -> tuple[int, int | None]:
        """How many of the records to take, and from which offset to read again; None: just go on.

        `expected`: the offset after the last that was taken; None where any may be the first. `now`: seconds on any
        clock that does not go back.
        """
        taken = 0
        while (hole := _find_hole(records, taken, expected)) is not None:
            missing = expected if hole == taken and expected is not None else records[hole - 1].offset + 1
            if not self._is_believed(place, missing, now):
                return hole, missing
            taken, expected = hole, records[hole].offset
        self._note_filled(place, records)
        return len(records), None

    def _is_believed(self, place: Place, missing: int, now: float) -> bool:
        if self._in_vain[place[0]] >= MOST_IN_VAIN:
            return True
        offset, since = self._awaited.get(place, (-1, now))
        if offset != missing:
            self._awaited[place] = missing, now
            return False
        if now - since < self._patience_seconds:
            return False
        del self._awaited[place]
        self._in_vain[place[0]] += 1
        return True

    def _note_filled(self, place: Place, records: Sequence[HasOffset]) -> None:
        offset, _ = self._awaited.get(place, (-1, 0.0))
        if records[0].offset <= offset <= records[-1].offset:
            del self._awaited[place]
            self._in_vain[place[0]] = 0


def _find_hole(records: Sequence[HasOffset], taken: int, expected: int | None) -> int | None:
    """The place of the first record from `taken` on that does not follow the one before it; fast if there is none."""
    first, last = records[taken].offset, records[-1].offset
    if expected is not None and first > expected:
        return taken
    if last - first + 1 == len(records) - taken:
        return None
    follows = (records[place].offset <= records[place - 1].offset + 1 for place in range(taken + 1, len(records)))
    return next((place for place, is_next in enumerate(follows, taken + 1) if not is_next), None)
