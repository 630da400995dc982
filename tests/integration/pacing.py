"""A feed that lasts as long as somebody looks."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")

TICK_SECONDS = 0.1
PORTION = 50
"""At the pace of one portion in this many of what is left, the last records take long."""


def paced(items: Sequence[Item], per_second: float, is_over: threading.Event) -> Iterator[Sequence[Item]]:
    """The items in slices, each at its time; towards the end ever smaller ones, so that some are left until `is_over`.

    What is left then comes at once.
    """
    sent = 0
    while not is_over.wait(TICK_SECONDS):
        left = len(items) - sent
        count = min(int(per_second * TICK_SECONDS), max(1, left // PORTION), left - 1)
        yield items[sent : sent + count]
        sent += count
    yield items[sent:]
