"""What is done to a stream of touchpoints on its way: written as lines, put out of order, paced."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Any

import msgspec

from producers.simulator.shop import MEAN_TOUCHPOINTS_PER_STORY, Shop
from schemas.moments import check_moment, to_epoch_ms

_SECONDS_PER_DAY = 86_400
_LOOK_BACK = timedelta(minutes=20)


def as_ndjson(records: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    """One line of UTF-8 JSON for each, with its line feed."""
    encode = msgspec.json.Encoder().encode
    for record in records:
        yield encode(record) + b"\n"


def disorder(
    touchpoints: Iterable[dict[str, Any]],
    seed: int,
    late_share: float = 0.0,
    max_late_seconds: float = 0.0,
    duplicate_share: float = 0.0,
) -> Iterator[dict[str, Any]]:
    """The same touchpoints in an order of arrival: a share comes up to `max_late_seconds` late, a share comes twice.

    A second copy comes up to `max_late_seconds` after its first. Nothing is lost or changed. Takes touchpoints in order
    of occurrence; memory holds those that are under way. Raises ValueError for a share outside 0 to 1.
    """
    if not (0 <= late_share <= 1 and 0 <= duplicate_share <= 1 and max_late_seconds >= 0):
        raise ValueError("late_share and duplicate_share must be between 0 and 1, max_late_seconds not negative")
    rng, max_late_ms = Random(seed), max_late_seconds * 1000
    waiting: list[tuple[float, int, dict[str, Any]]] = []
    sequence = 0
    for touchpoint in touchpoints:
        now_ms = float(to_epoch_ms(check_moment(touchpoint["occurred_at"])))
        while waiting and waiting[0][0] < now_ms:
            yield heapq.heappop(waiting)[2]
        arrives_ms = now_ms + (max_late_ms * rng.random() if rng.random() < late_share else 0.0)
        arrivals = [arrives_ms]
        if rng.random() < duplicate_share:
            arrivals.append(arrives_ms + max_late_ms * rng.random())
        for at_ms in arrivals:
            sequence += 1
            heapq.heappush(waiting, (at_ms, sequence, touchpoint))
    while waiting:
        yield heapq.heappop(waiting)[2]


def lived(
    seed: int, start: datetime, customers: int, touchpoints_per_second: float
) -> Iterator[tuple[float, dict[str, Any]]]:
    """A busy shop lived in real time, for ever: `(due_seconds, touchpoint)`, seconds counted from `start`.

    So many stories begin, day and night, that over days the mean is `touchpoints_per_second`; what happens within
    minutes makes four fifths of it, and is there from the first second, since the shop has been open for 20 minutes:
    what belongs before `start` comes first, with a negative `due_seconds`. Nothing is sped up: waits and promises are
    real. Raises ValueError for a rate that is not more than 0.
    """
    if touchpoints_per_second <= 0:
        raise ValueError("touchpoints_per_second must be more than 0")
    shop = Shop(
        seed,
        start - _LOOK_BACK,
        customers,
        known_at_start=customers,
        always_open=True,
        stories_per_day=touchpoints_per_second / MEAN_TOUCHPOINTS_PER_STORY * _SECONDS_PER_DAY,
    )
    start_ms = to_epoch_ms(start)
    for touchpoint in shop.touchpoints():
        yield (to_epoch_ms(check_moment(touchpoint["occurred_at"])) - start_ms) / 1000, touchpoint
