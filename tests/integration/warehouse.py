"""The life of a shop, delivered once, or twice by two producers while the worker is killed on the way."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, NamedTuple

from kafka import KafkaProducer

from producers.client import Client
from producers.simulator import Shop
from schemas.identifiers import Pseudonymiser
from schemas.moments import format_epoch_ms, to_epoch_ms
from schemas.partitioning import partition_of
from schemas.topics import FACTS, REPLAY_HEADER, TOUCHPOINTS
from tests.integration.expectations import RecordingEmitter
from tests.integration.harness import Feed, Platform

START = datetime(2026, 9, 1, tzinfo=UTC)
"""That of the shop of the cookbook, with whose parameters the views are asked."""
DAYS = 40
MINUTE_MS = 60_000
REPLAYED = ((REPLAY_HEADER, b"1"),)
# What is late is so by the order of arrival; of two producers the memory-only broker may show the later batch first.
OF_ANY_AGE = {
    "oldest_touchpoint": "36500d", "backlog_flush_interval": "500ms", "session_timeout": "1500ms",
    "allowed_lateness": "3650d",
}  # fmt: skip
REFUSED = (b"{", b'{"event_id": "r-1"}', b'{"event_id": "r-2", "source": "moon", "type": "browsed"}')
PART_SECONDS = 1.2


class Delivery(NamedTuple):
    """One record, the time that its producer stamps on it (epoch milliseconds), and which of two producers that is."""

    topic: str
    record: Feed
    stamped_ms: int
    producer: int = 0


def live(seed: int, customers: int, touchpoints: int) -> list[Delivery]:
    """What sources deliver of a shop's life, each thing once, in order of time; all that came is stamped soon after.

    At its end come people who share a card and a tablet.
    """
    shop = Shop(seed, START, customers, anonymous_share=0.4, stories_per_day=touchpoints / DAYS / 6)
    steps = [step for step in shop.steps(touchpoints) if step.kind != "pause"]
    told = [(step.at_ms, step.payload) for step in steps]
    telling, stating = RecordingEmitter(), RecordingEmitter()
    deliveries: list[Delivery] = []
    with Client(telling, Pseudonymiser(b"any key of some length", "k1", "IL"), facts=stating) as client:
        for at_ms, payload in [*told, *_share_things(steps[-1].at_ms)]:
            client.replay(payload, REPLAYED)
            fed, topic = (telling, TOUCHPOINTS) if "identifiers" in payload else (stating, FACTS)
            deliveries.append(Delivery(topic, fed.records[-1], at_ms + 1_000))
    return deliveries


def refused() -> list[Delivery]:
    """Records that are no touchpoints. Each is a dead letter as often as it comes, so they come once."""
    stamped_ms = to_epoch_ms(START)
    return [Delivery(TOUCHPOINTS, Feed(b"customer_id:C-1", raw), stamped_ms) for raw in REFUSED]


def _share_things(from_ms: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Six customers at one tablet, one more than link through it, and two of them with the same card."""
    for number in range(6):
        card = {"loyalty_id": "L-shared"} if number < 2 else {}
        who = {"customer_id": f"C-shares-{number}", "device_id": "tablet", **card}
        yield _say(from_ms + number * MINUTE_MS, f"share-{number}", "browsed", who, {"page": "home"})


def _say(
    at_ms: int, event_id: str, type: str, who: dict[str, str], properties: dict[str, Any]
) -> tuple[int, dict[str, Any]]:
    when = format_epoch_ms(at_ms)
    told = {"event_id": event_id, "source": "web", "type": type, "occurred_at": when, "identifiers": who}
    return at_ms, {**told, "properties": properties}


def double(deliveries: Sequence[Delivery], seed: int) -> list[Delivery]:
    """Each of them twice: the second at once, soon or long after the first, about half of them by another producer."""
    chosen = random.Random(seed)
    placed: list[tuple[float, Delivery]] = []
    for place, delivery in enumerate(deliveries):
        furthest = chosen.choice((0.5, 40.0, len(deliveries) / 2))
        again = delivery._replace(stamped_ms=delivery.stamped_ms + 5_000, producer=chosen.randrange(2))
        placed += [(place, delivery), (place + 0.1 + furthest * chosen.random(), again)]
    return [delivery for _, delivery in sorted(placed, key=lambda each: each[0])]


def deliver(platform: Platform, deliveries: Iterable[Delivery], per_second: float = 1e9) -> None:
    """Send them, and return once the broker has them all."""
    other = KafkaProducer(
        **platform.kafka_options, client_id="another", enable_idempotence=False, compression_type="gzip",
        linger_ms=5, metrics_enabled=False,
    )  # fmt: skip
    producers = (platform.producer, other)
    began, sent = time.monotonic(), []
    try:
        for count, (topic, record, stamped_ms, number) in enumerate(deliveries):
            if (ahead := began + count / per_second - time.monotonic()) > 0:
                time.sleep(ahead)
            partition = partition_of(record.key or b"", platform.partitions) if topic == TOUCHPOINTS else 0
            future = producers[number].send(
                topic, record.value, record.key, list(record.headers), partition=partition, timestamp_ms=stamped_ms
            )
            # Facts are read whole by each worker, and committed by none.
            sent.append(future.add_callback(platform.note_end) if topic == TOUCHPOINTS else future)
        for producer in producers:
            producer.flush(30)
        for future in sent:
            future.get(timeout=30)
    finally:
        other.close(timeout=5)


def deliver_and_kill(platform: Platform, deliveries: Sequence[Delivery], bursts: int, seed: int) -> None:
    """Deliver in parts; in the midst of each but the last kill the worker at work, and its successor soon after it."""
    chosen, worker = random.Random(seed), platform.start_worker()
    size = len(deliveries) // (bursts + 1) + 1
    for start in range(0, len(deliveries), size):
        platform.wait_assigned(worker)
        part = deliveries[start : start + size]
        with ThreadPoolExecutor(1) as thread:
            delivered = thread.submit(deliver, platform, part, len(part) / PART_SECONDS)
            if start + size < len(deliveries):
                time.sleep(chosen.uniform(0.1, PART_SECONDS))
                worker = platform.restart(worker)
                time.sleep(chosen.uniform(0.1, 2.0))
                worker = platform.restart(worker)
            delivered.result()
