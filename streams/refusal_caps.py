"""How many refused records are too many: caps per partition that stop the line before a bad release drains into it.

Whether a cap is exceeded is a function of what was refused at which offset, not of chunks, flushes or restarts: a
worker that starts again knows from the dead letters before its first record where the one before it stood, and stops
at the same record.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass

from schemas.settings import Settings
from streams.records import DecodedChunk

WINDOW_RECORDS = 1_000
LEAST_REFUSED = 200
"""A new partition has few records, and a share of these says little."""
RATIO_SETTING, CONSECUTIVE_SETTING = "JOURNEYS_DEAD_LETTER_RATIO", "JOURNEYS_DEAD_LETTER_CONSECUTIVE"


@dataclass(frozen=True)
class Caps:
    """`ratio`: share of the last `window` records, `consecutive`: records in a row, that may be refused. 0: no cap."""

    ratio: float = 0.5
    consecutive: int = 500
    window: int = WINDOW_RECORDS
    least: int = LEAST_REFUSED

    @classmethod
    def of(cls, settings: Settings) -> Caps:
        """What the settings say."""
        return cls(settings.dead_letter_ratio, settings.dead_letter_consecutive)

    @property
    def reach(self) -> int:
        """How many records before the next one matter."""
        return max(self.window, self.consecutive + 1)

    @property
    def are_off(self) -> bool:
        """Whether nothing is capped."""
        return not self.ratio and not self.consecutive


@dataclass(frozen=True)
class Excess:
    """The record at `last_offset` was one refused record too many; `refused` of `records` are, from `first_offset`."""

    setting: str
    refused: int
    records: int
    first_offset: int
    last_offset: int
    reason: str

    def describe(self, topic: str, partition: int, taken_to: int, caps: Caps) -> str:
        """One line: what is wrong, what was done, what to do. `taken_to`: offset of the first record not taken."""
        if self.setting == CONSECUTIVE_SETTING:
            found, allowed = f"{self.refused:,} records in a row", f"{caps.consecutive:,} in a row"
            other = RATIO_SETTING
        else:
            found, allowed = f"{self.refused:,} of {self.records:,} records", f"a share of {caps.ratio:g}"
            other = CONSECUTIVE_SETTING
        return (
            f"partition {partition} of topic {topic}: {found} were refused (offsets {self.first_offset} to "
            f"{self.last_offset}, most often {self.reason}), and at most {allowed} may be. Nothing from offset "
            f"{taken_to} on was taken. Mend what is wrong with the source or with this release and start again: these "
            f"records are then read again. To have them become dead letters all the same, start with "
            f"{self.setting}=0 {other}=0"
        )


class RefusalCount:
    """What was refused lately in one partition, and whether that is too much.

    A cap stops at the record with which the count goes beyond it. Where it is beyond already, somebody let it pass by
    another cap, and nothing is stopped until it has been within the cap again.
    """

    def __init__(self, caps: Caps, next_offset: int, refused: Iterable[tuple[int, str]] = ()) -> None:
        """`refused`: offset and reason of what was refused before `next_offset`, in order."""
        self._caps = caps
        # Records are numbered as their offsets would be if no offset had been left out since `next_offset`.
        self._next = next_offset
        self._refused: deque[tuple[int, int, str]] = deque()
        self._row: deque[tuple[int, int, str]] = deque()
        self._row_length = 0
        for offset, reason in refused:
            self._add(offset, offset, reason)

    @property
    def used(self) -> float:
        """How near the partition is to its caps: beyond 1 is beyond one of them."""
        last, caps = self._next - 1, self._caps
        self._forget(last)
        by_ratio = len(self._refused) / max(caps.ratio * self._seen(last), caps.least) if caps.ratio else 0.0
        return max(by_ratio, self._row_at(last) / caps.consecutive if caps.consecutive else 0.0)

    def take(self, chunk: DecodedChunk) -> Excess | None:
        """Count a chunk. The first record too many is returned, and ends the counting for good."""
        accepted = [arrival.offset for arrival in chunk.arrivals] if chunk.refusals else []
        for number, refusal in enumerate(chunk.refusals):
            record = self._next + number + bisect_left(accepted, refusal.offset)
            former = self._exceeded(record - 1)
            self._add(record, refusal.offset, refusal.reason)
            for setting in self._exceeded(record):
                if setting not in former:
                    return self._excess(setting, record)
        self._next += len(chunk.arrivals) + len(chunk.refusals)
        return None

    def _add(self, record: int, offset: int, reason: str) -> None:
        if not self._row_at(record - 1):
            self._row.clear()
            self._row_length = 0
        self._row_length += 1
        for kept in (self._row, self._refused):
            kept.append((record, offset, reason))
        if len(self._row) > self._caps.reach:
            self._row.popleft()
        self._forget(record)

    def _forget(self, record: int) -> None:
        while self._refused and self._refused[0][0] <= record - self._caps.window:
            self._refused.popleft()

    def _exceeded(self, record: int) -> list[str]:
        """The caps that are exceeded once this record, the last one added or a later one, is counted."""
        caps, found = self._caps, []
        self._forget(record)
        if caps.consecutive and self._row_at(record) > caps.consecutive:
            found.append(CONSECUTIVE_SETTING)
        refused = len(self._refused)
        if caps.ratio and refused >= caps.least and refused > caps.ratio * self._seen(record):
            found.append(RATIO_SETTING)
        return found

    def _seen(self, record: int) -> int:
        return min(self._caps.window, record + 1)

    def _row_at(self, record: int) -> int:
        """How many were refused in a row up to and with this record."""
        return self._row_length if self._row and self._row[-1][0] == record else 0

    def _excess(self, setting: str, record: int) -> Excess:
        is_row = setting == CONSECUTIVE_SETTING
        found = self._row if is_row else self._refused
        seen = len(found) if is_row else self._seen(record)
        reason = Counter(reason for _, _, reason in found).most_common(1)[0][0]
        return Excess(setting, len(found), seen, found[0][1], found[-1][1], reason)
