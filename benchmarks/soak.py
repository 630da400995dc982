"""Soak: an hour at half of what a worker takes, and each minute one of two workers is killed."""

from __future__ import annotations

import contextlib
import json
import time
from collections import deque
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Event
from statistics import median
from typing import Any

from confluent_kafka import KafkaError, Message, Producer

from benchmarks import throughput
from benchmarks.figures import Figure, at_most
from benchmarks.ground import PARTITIONS, BenchmarkFailed, Ground, Report, producer_options, wait_until
from benchmarks.live_feed import CYCLE, make_touchpoint
from benchmarks.worker import Worker
from schemas.topics import TOUCHPOINTS

SECONDS = 3_600
KILL_SECONDS = 60
PATIENCE_SECONDS = 300
GENERATION, TOUCHPOINTS_EACH = 5_000, 20
"""So many customers come, with so many touchpoints each, and never again: what is open stays the same."""
FRICTION_CYCLES, PLAIN = 50, 1
"""Of so many hundreds one holds friction: who has that is kept for days, as the rules look back so far."""
SETTINGS = {"journey_gap": "2m", "allowed_lateness": "2m", "hold_open_for_promises": "false"}
COUNTED, PARTS = "SELECT count(), uniqExact(event_id) FROM analytics.touchpoints", 16
WANTED_CATCH_UP_SECONDS = 30.0
WANTED_GROWTH = 1.1


@dataclass
class Seen:
    """What was noted on the way: seconds until a kill was made good, and the memory of each worker at its end."""

    catch_up: list[float] = field(default_factory=list)
    worker_bytes: list[int] = field(default_factory=list)


def measure(count: int | None, report: Report) -> list[Figure]:
    """Measure what one worker takes on the workload, then send half of that for `count` seconds (default 3,600).

    On Apache Kafka, which keeps its records on disk. Raises BenchmarkFailed when a touchpoint is lost or doubled, a
    worker ends by itself, or a death is not made good within five minutes.
    """
    [capacity, *_] = throughput.measure_worker(None, report)
    per_second, seconds = capacity.value / 2, count or SECONDS
    with Ground("apache") as ground, Feed(ground.kafka, per_second) as feed:
        seen = _kill_in_turn(ground, feed, seconds, report)
        total = _check(ground, feed.sent)
    rate = total / feed.seconds
    third = len(seen.worker_bytes) // 3
    early, late = median(seen.worker_bytes[third : 2 * third] or [1]), median(seen.worker_bytes[2 * third :])
    return [
        Figure("soak_rate", rate, "touchpoints/s", rate / capacity.value, "one worker's most"),
        Figure("soak_time", feed.seconds, "s"),
        Figure("soak_touchpoints", total, "touchpoints"),
        Figure("soak_kills", len(seen.catch_up), "kills"),
        Figure("soak_catch_up_p50", median(seen.catch_up), "s"),
        at_most("soak_catch_up_most", max(seen.catch_up), "s", WANTED_CATCH_UP_SECONDS),
        Figure("soak_memory", late / 1e6, "MB"),
        at_most("soak_memory_growth", late / early, "of the middle third's", WANTED_GROWTH),
    ]


def _kill_in_turn(ground: Ground, feed: Feed, seconds: float, report: Report) -> Seen:
    seen = Seen()
    with contextlib.ExitStack() as opened:
        workers = deque(opened.enter_context(ground.worker(**SETTINGS)) for _ in range(2))
        wait_until(lambda: _is_near(ground, feed), "the workers to keep up", 120)
        began = killed = time.monotonic()
        while (passed := time.monotonic() - began) < seconds:
            report(f"{passed:.0f} of {seconds:.0f} s, {feed.sent:,} touchpoints, {len(seen.catch_up)} kills")
            if time.monotonic() - killed >= KILL_SECONDS:
                killed = time.monotonic()
                seen.worker_bytes.append(workers[0].peak_rss_bytes())
                workers.popleft().kill()
                workers.append(opened.enter_context(ground.worker(**SETTINGS)))
                seen.catch_up.append(_catch_up(ground, feed, workers))
            time.sleep(1)
        total = feed.stop()
        wait_until(lambda: ground.committed_records() == total, "all to be done", 120)
    return seen


def _catch_up(ground: Ground, feed: Feed, workers: deque[Worker]) -> float:
    """Seconds until the dead worker's partitions have an owner and nothing but the last second's records is left."""
    began = time.monotonic()

    def is_made_good() -> bool:
        if not all(worker.is_alive for worker in workers):
            raise BenchmarkFailed("; ".join(f"a worker ended: {each.last_words}" for each in workers))
        shares = [worker.partitions for worker in workers]
        return sum(shares) == PARTITIONS and min(shares) > 0 and _is_near(ground, feed)

    try:
        wait_until(is_made_good, "a kill to be made good", PATIENCE_SECONDS, 0.25)
    except BenchmarkFailed as error:
        behind, shares = feed.sent - ground.committed_records(), [worker.partitions for worker in workers]
        raise BenchmarkFailed(f"{error}: at {feed.per_second:,.0f}/s {behind:,} behind, partitions {shares}") from error
    return time.monotonic() - began


def _is_near(ground: Ground, feed: Feed) -> bool:
    # The positions are read after the count: what came in between makes it no easier.
    sent = feed.sent
    return sent > feed.per_second and ground.committed_records() >= sent - 1.5 * feed.per_second


def _check(ground: Ground, sent: int) -> int:
    # In parts: what tells so many apart needs memory.
    counted = [ground.writer.query(f"{COUNTED} WHERE cityHash64(event_id) % {PARTS} = {n}")[0] for n in range(PARTS)]
    rows, unique = (sum(column) for column in zip(*counted, strict=True))
    letters = ground.query_count("SELECT count() FROM journeys.dead_letters")
    if not rows == unique == sent or letters:
        raise BenchmarkFailed(f"{sent} were sent, {unique} are there in {rows} rows, {letters} dead letters")
    return sent


class Feed:
    """Sends at a steady rate from another process. A context manager."""

    def __init__(self, servers: str, per_second: float) -> None:
        context = get_context("spawn")
        self.per_second = per_second
        self.seconds = 0.0
        self._sent: Synchronized[int] = context.Value("q", 0)
        self._is_over = context.Event()
        self._process = context.Process(target=_feed, args=(servers, per_second, self._sent, self._is_over))

    def __enter__(self) -> Feed:
        self._process.start()
        self._began = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()

    @property
    def sent(self) -> int:
        """How many records the broker has."""
        return self._sent.value

    def stop(self) -> int:
        """Send no more; returns how many were sent. Raises BenchmarkFailed if some were not delivered."""
        self._is_over.set()
        self.seconds = time.monotonic() - self._began
        self._process.join(90)
        if self._process.exitcode != 0:
            raise BenchmarkFailed(f"the sender ended with {self._process.exitcode}")
        return self.sent


def _feed(servers: str, per_second: float, sent: Synchronized[int], is_over: Event) -> None:
    producer = Producer(producer_options(servers, linger_ms=10) | {"enable.idempotence": True})

    def note(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            raise BenchmarkFailed(f"a touchpoint was not delivered: {error}")
        sent.value += 1

    number, began = 0, time.time()
    while not is_over.is_set():
        now = time.time()
        due = int((now - began) * per_second)
        while number < due:
            touchpoint = _touchpoint(number, int(now * 1000))
            key = f"customer_id:{touchpoint['identifiers']['customer_id']}".encode()
            producer.produce(TOUCHPOINTS, json.dumps(touchpoint).encode(), key, on_delivery=note)
            number += 1
        producer.poll(0.02)
    producer.flush(60)


def _touchpoint(number: int, now_ms: int) -> dict[str, Any]:
    has_friction = number // CYCLE % FRICTION_CYCLES == 0
    touchpoint = make_touchpoint(number if has_friction else PLAIN, now_ms)
    touchpoint["event_id"] = f"live-{number:08d}"
    if touchpoint["type"] == "page_viewed":
        generation = number // (GENERATION * TOUCHPOINTS_EACH)
        touchpoint["identifiers"] = {"customer_id": f"cust-{generation}-{number % GENERATION:06d}"}
    return touchpoint
