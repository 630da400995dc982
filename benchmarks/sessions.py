"""Sessions of a workload, computed plainly: the answer that the worker and the limit must come to. No platform code."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime

Session = tuple[str, int, int, int]
"""(customer, first epoch ms, last epoch ms, touchpoints)."""


class Observed:
    """Takes the records of a workload as they pass by."""

    def __init__(self, gap_ms: int) -> None:
        self._gap_ms = gap_ms
        self._moments: dict[str, dict[str, int]] = defaultdict(dict)
        self.records = 0

    def watch(self, records: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
        """Pass the records on, remembering them."""
        for key, value in records:
            self.note(value)
            yield key, value

    def note(self, value: bytes) -> None:
        """Remember one record."""
        touchpoint = json.loads(value)
        occurred_ms = round(datetime.fromisoformat(touchpoint["occurred_at"]).timestamp() * 1000)
        self._moments[touchpoint["identifiers"]["customer_id"]][touchpoint["event_id"]] = occurred_ms
        self.records += 1

    @property
    def unique(self) -> int:
        """Touchpoints without their repeats."""
        return sum(len(moments) for moments in self._moments.values())

    def sessions(self) -> list[Session]:
        """All sessions, sorted: a new one begins where more than the gap passed since the touchpoint before."""
        found: list[Session] = []
        for customer, by_event in self._moments.items():
            moments = sorted(by_event.values())
            cuts = [i for i in range(1, len(moments)) if moments[i] - moments[i - 1] > self._gap_ms]
            for start, end in zip([0, *cuts], [*cuts, len(moments)], strict=True):
                found.append((customer, moments[start], moments[end - 1], end - start))
        return sorted(found)
