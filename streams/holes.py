"""Holes: offsets missing between what was read and what came next, and whether to wait for them. Pure.

Some holes stay: compaction, transaction marks and expired retention leave them. Others fill: a broker may show a batch
before the one that stands before it, as the memory-only one does when two producers write to a partition at once, and
whoever reads on then has lost that. Nothing in a fetched batch tells the two apart, but time does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

PATIENCE_SECONDS = 0.5
HOLE_PAUSE_SECONDS = 0.02
"""Between two looks at the same hole."""
MOST_IN_VAIN = 3
"""After so many holes of a topic that stayed, and none that filled, the next ones are believed at once."""
STALE_SECONDS = 5.0
"""So long after a partition was sent back, the lowest offset behind its hole may have gone: it is learned anew."""
Place = tuple[str, int]
"""Topic and partition."""


class HasOffset(Protocol):
    """A record as it was read."""

    @property
    def offset(self) -> int: ...


@dataclass(slots=True)
class _Hole:
    """The offset that is awaited, since when, the lowest one that was seen behind it, and when it was last sought."""

    missing: int
    since: float
    behind: int
    sought: float
    reminded: float = 0.0


class Holes:
    """What is known of holes while one assignment lasts.

    A chunk that begins behind a hole is either the next that there is, or it was on its way already when the partition
    was sent back. Only the former may ever be believed, so nothing is decided by time alone: the chunk must have been
    fetched, by a new look, after the patience was over. Chunks come in the order in which they were fetched, so once it
    has come, nothing is on its way any more.
    """

    def __init__(self, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._patience_seconds = patience_seconds
        self._awaited: dict[Place, _Hole] = {}
        self._in_vain: Counter[str] = Counter()
        self._begun: set[Place] = set()

    def forget(self) -> None:
        """Begin anew: partitions are read from where they were committed, and nothing is on its way."""
        self._awaited.clear()
        self._begun.clear()

    def cut(
        self, place: Place, records: Sequence[HasOffset], expected: int | None, now: float
    ) -> tuple[int, int | None]:
        """How many of the records to take, and from which offset to read again; None: just go on.

        What is not taken is dropped: it will be read again. `expected`: the offset after the last that was taken; None
        where any may be the first. `now`: seconds on any clock that does not go back.
        """
        taken = 0
        while (hole := _find_hole(records, taken, expected)) is not None:
            missing = expected if hole == taken and expected is not None else records[hole - 1].offset + 1
            if not self._is_trusted(place) and not self._is_gone(place, missing, records[hole].offset):
                return hole, self._look_again(place, missing, records[hole].offset, now)
            taken, expected = hole, records[hole].offset
        self._note_taken(place, records)
        return len(records), None

    def overdue(self, now: float) -> list[tuple[Place, int]]:
        """What has been awaited for long without a word, and from which offset: it is to be sought once more.

        It never should be. This is no look by which a hole is judged.
        """
        found = [
            (place, hole.missing)
            for place, hole in self._awaited.items()
            if now - max(hole.sought, hole.reminded) >= STALE_SECONDS
        ]
        for place, _ in found:
            self._awaited[place].reminded = now
        return found

    def _is_trusted(self, place: Place) -> bool:
        """Whether holes of this topic stay, and no chunk can have been dropped before this one."""
        stays = self._in_vain[place[0]] >= MOST_IN_VAIN
        return stays and place in self._begun and place not in self._awaited

    def _is_gone(self, place: Place, missing: int, behind: int) -> bool:
        """Whether what is missing is not to come, as it was still missing when last looked for."""
        awaited = self._awaited.get(place)
        if awaited is None or awaited.missing != missing or behind > awaited.behind:
            return False
        awaited.behind = behind
        if awaited.sought - awaited.since < self._patience_seconds:
            return False
        del self._awaited[place]
        self._in_vain[place[0]] += 1
        return True

    def _look_again(self, place: Place, missing: int, behind: int, now: float) -> int | None:
        awaited = self._awaited.get(place)
        if awaited is None or awaited.missing != missing:
            self._awaited[place] = _Hole(missing, now, behind, now)
        elif behind <= awaited.behind:
            awaited.sought = now
        elif now - awaited.sought < STALE_SECONDS:
            # It was on its way before: what stands before it comes again.
            return None
        else:
            self._awaited[place] = _Hole(missing, now, behind, now)
        return missing

    def _note_taken(self, place: Place, records: Sequence[HasOffset]) -> None:
        self._begun.add(place)
        awaited = self._awaited.get(place)
        if awaited is not None and records[0].offset <= awaited.missing <= records[-1].offset:
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
