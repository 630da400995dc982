"""The fact book: when was a product back, for those who wished to be told?

What it answers is a function of the set of facts that it was fed, in whatever order and however often.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort

from schemas.fact import Fact
from schemas.properties import Restocked, StockLevel

HORIZON_MS = 90 * 86_400_000
"""A restock this much older than the newest fact about stock is forgotten."""

_Restock = tuple[int, str]
"""When, epoch milliseconds, and `source/event_id` of the fact."""
_Level = tuple[int, str, int]
"""The same, and the quantity."""
_NOTHING: frozenset[str] = frozenset()


class FactBook:
    """Restocks by product and store, as `restocked` states them and as stock levels show them.

    A level above 0 is a restock when the one before it of that product in that store was 0 or less; without one before
    it nothing is known. Memory: the restocks and levels within the horizon, and one level of each product and store
    from before it, however old: without it, a long absence would not end in a restock.
    """

    def __init__(self, horizon_ms: int = HORIZON_MS) -> None:
        self._horizon_ms = horizon_ms
        self._newest_ms = -(2**62)
        self._levels: dict[tuple[str, str], list[_Level]] = {}
        self._anywhere: dict[str, list[_Restock]] = {}
        self._at: dict[tuple[str, str | None], list[_Restock]] = {}
        self._expiring: list[tuple[int, str, str, str]] = []

    def feed(self, fact: Fact) -> frozenset[str]:
        """Take a fact; returns the SKUs for which some answer is another now. Other types than of stock change none."""
        properties = fact.properties
        if not isinstance(properties, Restocked | StockLevel):
            return _NOTHING
        sku, occurred_ms = properties.sku, fact.occurred_ms
        changed = self._advance(occurred_ms) if occurred_ms > self._newest_ms else set()
        if isinstance(properties, Restocked):
            is_new = self._add(sku, fact.store, (occurred_ms, fact.reference))
        else:
            is_new = self._note(sku, properties.store_id, (occurred_ms, fact.reference, properties.quantity))
        return frozenset(changed | {sku}) if is_new else frozenset(changed)

    def first_restock(self, sku: str, store_id: str | None, after_ms: int, until_ms: int) -> tuple[int, str] | None:
        """When a wish for this product was first answered later than `after_ms` and not later than `until_ms`.

        `store_id` None: a wish for no store in particular, which any restock answers; otherwise one of that store or of
        none does. Returns epoch milliseconds and `source/event_id`, of two at once the lesser reference.
        """
        if store_id is None:
            found = _first(self._anywhere.get(sku), after_ms)
        else:
            named, unnamed = self._at.get((sku, store_id)), self._at.get((sku, None))
            found = min(filter(None, (_first(named, after_ms), _first(unnamed, after_ms))), default=None)
        return found if found is not None and found[0] <= until_ms else None

    @property
    def _oldest_ms(self) -> int:
        return self._newest_ms - self._horizon_ms

    def _note(self, sku: str, store_id: str, level: _Level) -> bool:
        """Put a level in its place among the others; whether that made or unmade a restock."""
        levels = self._levels.setdefault((sku, store_id), [])
        index = bisect_left(levels, level)
        if levels[index : index + 1] == [level]:
            return False
        after = levels[index] if index < len(levels) else None
        before = levels[index - 1] if index else None
        levels.insert(index, level)
        is_changed = False
        if after is not None and _is_restock(before, after) != _is_restock(level, after):
            turn = self._add if _is_restock(level, after) else self._remove
            is_changed = turn(sku, store_id, after[:2])
        # Last: both may be of one moment and reference, and are then one restock.
        if _is_restock(before, level):
            is_changed |= self._add(sku, store_id, level[:2])
        # Of what lies before the horizon only the last counts: the first level after it may end an absence.
        del levels[: max(0, bisect_left(levels, (self._oldest_ms,)) - 1)]
        return is_changed

    def _add(self, sku: str, store_id: str | None, restock: _Restock) -> bool:
        if restock[0] < self._oldest_ms:
            return False
        at = self._at.setdefault((sku, store_id), [])
        if _holds(at, restock):
            return False
        insort(at, restock)
        insort(self._anywhere.setdefault(sku, []), restock)
        # No store is an empty text here: what is on a heap must be comparable.
        heapq.heappush(self._expiring, (*restock, sku, store_id or ""))
        return True

    def _remove(self, sku: str, store_id: str | None, restock: _Restock) -> bool:
        at = self._at.get((sku, store_id), [])
        if not _holds(at, restock):
            return False
        for restocks in (at, self._anywhere[sku]):
            del restocks[bisect_left(restocks, restock)]
        if not at:
            del self._at[sku, store_id]
        if not self._anywhere[sku]:
            del self._anywhere[sku]
        return True

    def _advance(self, newest_ms: int) -> set[str]:
        """Move the horizon; the SKUs of which restocks are forgotten."""
        self._newest_ms = newest_ms
        forgotten: set[str] = set()
        while self._expiring and self._expiring[0][0] < self._oldest_ms:
            occurred_ms, reference, sku, store_id = heapq.heappop(self._expiring)
            if self._remove(sku, store_id or None, (occurred_ms, reference)):
                forgotten.add(sku)
        return forgotten


def _first(restocks: list[_Restock] | None, after_ms: int) -> _Restock | None:
    if not restocks:
        return None
    index = bisect_left(restocks, (after_ms + 1,))
    return restocks[index] if index < len(restocks) else None


def _holds(restocks: list[_Restock], restock: _Restock) -> bool:
    index = bisect_left(restocks, restock)
    return restocks[index : index + 1] == [restock]


def _is_restock(before: _Level | None, level: _Level) -> bool:
    return level[2] > 0 and before is not None and before[2] <= 0
