"""What became of everything that was sent: on its way, delivered, in the spool, or neither."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from producers.emitters import Spooled
from schemas.errors import Transient


@dataclass(frozen=True)
class Undelivered:
    """A touchpoint that the broker did not confirm. Sent again under its `event_id`, it will not count twice."""

    event_id: str
    reason: str


@dataclass(frozen=True)
class Report:
    """What was settled since the report before: each touchpoint stands in exactly one report.

    `delivered`: the broker acknowledged them. `spooled`: it had not yet, and they lie on this machine's disk, and are
    sent from there.
    """

    delivered: int
    undelivered: list[Undelivered]
    spooled: int = 0


class Deliveries:
    """Counts answers, bounds the bytes that are on their way. Thread-safe.

    `reserve` blocks while more than `limit_bytes` are unanswered and raises `Transient` after `block_seconds`; one
    record is always let through when nothing else is on its way.
    """

    def __init__(self, limit_bytes: int, block_seconds: float) -> None:
        self._limit_bytes = limit_bytes
        self._block_seconds = block_seconds
        self._changed = threading.Condition()
        self._waiting: dict[int, tuple[str, int]] = {}
        self._bytes = 0
        self._next = 0
        self._delivered = self._spooled = 0
        self._undelivered: list[Undelivered] = []

    def reserve(self, event_id: str, size_bytes: int) -> int:
        """Make room for one record and return its ticket."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._fits(size_bytes), self._block_seconds):
                raise Transient(
                    f"{self._bytes} bytes wait for a broker that took no more for {self._block_seconds:g} s: is it up?"
                )
            self._next += 1
            self._bytes += size_bytes
            self._waiting[self._next] = (event_id, size_bytes)
            return self._next

    def cancel(self, ticket: int) -> None:
        """Forget a record that was never taken; whoever sent it was told by an exception."""
        self._settle(ticket)

    def answer(self, ticket: int, reason: str | None) -> None:
        """Settle a record: acknowledged (None), spooled, or why it is neither."""
        with self._changed:
            event_id = self._settle(ticket)
            if event_id is None:
                return
            if reason is None:
                self._delivered += 1
            elif isinstance(reason, Spooled):
                self._spooled += 1
            else:
                self._undelivered.append(Undelivered(event_id, reason))

    def wait(self, timeout_seconds: float) -> None:
        """Wait until nothing is on its way, at most this long."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting, timeout_seconds)

    def report(self, unanswered: str | None) -> Report:
        """Close the account: what has no answer by now is undelivered for that reason, whatever comes later.

        Without a reason it stands in the report after its answer.
        """
        with self._changed:
            if unanswered is not None:
                self._undelivered += [Undelivered(event_id, unanswered) for event_id, _ in self._waiting.values()]
                self._waiting, self._bytes = {}, 0
            report = Report(self._delivered, self._undelivered, self._spooled)
            self._undelivered = []
            self._delivered = self._spooled = 0
            self._changed.notify_all()
            return report

    def _fits(self, size_bytes: int) -> bool:
        return not self._waiting or self._bytes + size_bytes <= self._limit_bytes

    def _settle(self, ticket: int) -> str | None:
        with self._changed:
            event_id, size_bytes = self._waiting.pop(ticket, (None, 0))
            self._bytes -= size_bytes
            self._changed.notify_all()
            return event_id
