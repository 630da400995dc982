"""What has been found, and what is to be looked at when a time has come."""

from __future__ import annotations

import heapq
from collections.abc import Callable

from producers.simulator.truth.friction import Friction, SubjectKind
from producers.simulator.truth.touch import Touch


class Chronicle:
    """Where all rules write, and their alarm clock. Times are epoch milliseconds."""

    def __init__(self, on_record: Callable[[Friction, Touch], None]) -> None:
        """`on_record` is told of every record that touches show, with its anchor, as it is written."""
        self._on_record = on_record
        self._found: list[Friction] = []
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._sequence = 0

    def at(self, at_ms: int, act: Callable[[], None]) -> None:
        """Call `act` when that moment comes, before any touchpoint of that moment."""
        self._sequence += 1
        heapq.heappush(self._heap, (at_ms, self._sequence, act))

    def pass_time(self, now_ms: int) -> None:
        """Let all that was to come up to `now_ms`, inclusive, happen in its order."""
        heap = self._heap
        while heap and heap[0][0] <= now_ms:
            heapq.heappop(heap)[2]()

    def record(self, at_ms: int, rule: str, kind: SubjectKind, subject: str, anchor: Touch, *others: Touch) -> None:
        """Write down what became true at that time, with the touches that show it."""
        evidence = (anchor.event_id, *(touch.event_id for touch in others))
        friction = Friction(at_ms, rule, anchor.customer, kind, subject, evidence, anchor.reference)
        self.write(friction)
        self._on_record(friction, anchor)

    def write(self, friction: Friction) -> None:
        """Write down a record that follows from another."""
        self._found.append(friction)

    def take(self) -> list[Friction]:
        """What was written since the last time this was asked."""
        found = self._found
        if found:
            self._found = []
        return found
