"""Faults that are counted: how many, what was on its way, what it did to the tables, how long until all was done."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from schemas.topics import TOUCHPOINTS
from tests.faults.count_table import Count, Damage
from tests.faults.shop import alerts
from tests.integration.expectations import Expected, expect
from tests.integration.harness import Feed, Platform, wait_until

RECOVERY_SECONDS = 120.0

Alerts = dict[str, tuple[Any, ...]]


class Trial:
    """Records that come in while faults do; at the end the tables are held against what must be.

    With each fault two parts are sent: of the first something is done before it, of the second hardly anything.
    """

    def __init__(self, count: Count, platform: Platform, records: Sequence[Feed], faults: int) -> None:
        self._count = count
        self._platform = platform
        self._records = records
        self._size = len(records) // (2 * faults + 1)
        self._sent = 0

    def meet(self, fault: Callable[[], object]) -> None:
        """Send, do the fault in the midst of the work, and wait until all that was sent is done."""
        done = self._done()
        self._send(self._size)
        wait_until(lambda: self._done() > done, "some progress")
        self._send(self._size)
        in_flight = self._sent - self._done()
        began = time.monotonic()
        fault()
        wait_until(lambda: self._done() == self._sent, "all to be done", RECOVERY_SECONDS)
        self._count.recovery_seconds.append(time.monotonic() - began)
        self._count.in_flight.append(in_flight)

    def finish(self, undisturbed: Alerts) -> None:
        """Send the rest and count what differs. Raises AssertionError if anything does."""
        self._send(len(self._records))
        self._platform.wait_idle(RECOVERY_SECONDS)
        expected = expect(self._records)
        damage = measure_damage(self._platform, expected, undisturbed)
        self._count.damage.add(damage)
        assert damage == Damage(), damage

    def _send(self, many: int) -> None:
        part = self._records[self._sent : self._sent + many]
        self._platform.send(part)
        self._sent += len(part)

    def _done(self) -> int:
        return sum(offset for (topic, _), offset in self._platform.committed().items() if topic == TOUCHPOINTS)


def measure_damage(platform: Platform, expected: Expected, undisturbed: Alerts) -> Damage:
    """What the views of a platform at rest show, against what they must show."""
    members = platform.members()
    [(rows,)] = platform.query("SELECT count() FROM analytics.touchpoints")
    return Damage(
        lost=len(expected.members.keys() - members.keys()),
        doubled=rows - len(members),
        journeys=_count_differences(platform.journeys(), expected.journeys),
        alerts=_count_differences(alerts(platform), undisturbed),
    )


def _count_differences(found: dict[Any, Any], expected: dict[Any, Any]) -> int:
    return sum(found.get(key) != expected.get(key) for key in found.keys() | expected.keys())
