"""Touchpoints that wait for their flush, as by then it may be known whose they are. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from streams.promises import FOREVER_MS
from streams.records import Arrival

Waited = list[tuple[Arrival, int]]
"""Arrivals in order, each with the partition time at which it came, epoch milliseconds, by which it is judged."""


LONGEST_WAIT_FLUSHES = 2
"""A key under which something has waited for so many flushes is settled with the next, whoever may still turn up."""
MOST_WAITING_ROWS = 5_000
"""So much of one partition may wait for another flush: the rest has to have room."""


class Waiting:
    """Arrivals by their keys, which are weaker identifiers."""

    __slots__ = ("_by_key", "_count", "_flushes")

    def __init__(self) -> None:
        self._by_key: dict[str, Waited] = {}
        self._count = 0
        self._flushes: dict[str, int] = {}

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_key)

    def __contains__(self, key: str) -> bool:
        return key in self._by_key

    def add(self, arrival: Arrival, reached_ms: int) -> None:
        """Have one more wait."""
        self._by_key.setdefault(arrival.key, []).append((arrival, reached_ms))
        self._count += 1

    def moments(self, key: str) -> list[int]:
        """When what waits under a key happened."""
        return [arrival.touch.occurred_ms for arrival, _ in self._by_key.get(key, ())]

    def take(self, key: str) -> Waited:
        """What waited under a key."""
        taken = self._by_key.pop(key)
        self._count -= len(taken)
        self._flushes.pop(key, None)
        return taken

    def take_due(self, may_wait: Callable[[str, Waited], bool] | None = None) -> dict[str, Waited]:
        """What waited, by key, but for what `may_wait` for one more flush."""
        taken, self._by_key, flushes, self._flushes, self._count = self._by_key, {}, self._flushes, {}, 0
        if may_wait is None:
            return taken
        for key, waited in list(taken.items()):
            since = flushes.get(key, 0)
            has_room = self._count + len(waited) <= MOST_WAITING_ROWS
            if since < LONGEST_WAIT_FLUSHES and has_room and may_wait(key, waited):
                self._by_key[key] = taken.pop(key)
                self._flushes[key] = since + 1
                self._count += len(waited)
        return taken

    @property
    def first_offset(self) -> int | None:
        """The lowest offset of what waits."""
        return min((arrival.offset for waited in self._by_key.values() for arrival, _ in waited), default=None)

    @property
    def first_reached_ms(self) -> int:
        """The partition time at which the first of it came; for ever, where nothing waits."""
        return min((reached_ms for waited in self._by_key.values() for _, reached_ms in waited), default=FOREVER_MS)
