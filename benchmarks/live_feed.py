"""A steady stream of live touchpoints, some of which raise alerts, and when each was sent."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaError, Message, Producer

from benchmarks.ground import BenchmarkFailed, producer_options
from schemas.moments import format_epoch_ms
from schemas.topics import TOUCHPOINTS

CUSTOMERS = 5_000
LINGER_MS = 5
CYCLE = 100
REPEATS = range(0, CYCLE, 25)
FOLLOWS = 10
"""Of each 100 touchpoints four ask support, and four ask again ten touchpoints later: an alert when that comes."""
WAIT_CYCLE, WAITS = 200, 40
QUEUE_LIMIT_MS = 600_000
QUEUE_LEAD_MS = 2_000
"""One of 200 joined a queue so long ago that its wait becomes too long two seconds from now: an alert by time alone."""


HOT, HOT_CYCLE = "hot", 10
Make = Callable[[int, int], dict[str, Any]]
"""Makes touchpoint number n of a stream at a time, in epoch milliseconds."""

PENDING = 100_000
DUE_SHARE = 25
"""One promise of so many comes due half a minute to a minute and a half after it was made; the rest do tomorrow."""


def pending_orders(now_ms: int) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of orders just placed, each with a promise."""
    for number in range(PENDING):
        due_ms = now_ms + 86_400_000
        if number % DUE_SHARE == 0:
            due_ms = now_ms + 30_000 + number * 60_000 // PENDING
        touchpoint = {
            "event_id": f"order-{number:08d}",
            "source": "web",
            "type": "order_placed",
            "occurred_at": format_epoch_ms(now_ms - 1_000),
            "identifiers": {"customer_id": f"orders-{number:06d}"},
            "order_id": f"O-{number:06d}",
            "properties": {"amount": 10.0, "currency": "ILS", "promised_by": format_epoch_ms(due_ms)},
        }
        yield f"customer_id:orders-{number:06d}".encode(), json.dumps(touchpoint).encode()


@dataclass(frozen=True)
class Sent:
    """What was sent. Times are epoch seconds by event id, `places` (partition, offset), `hot` ids of one customer."""

    seconds: dict[str, float] = field(default_factory=dict)
    places: dict[str, tuple[int, int]] = field(default_factory=dict)
    hot: set[str] = field(default_factory=set)


def make_touchpoint(number: int, now_ms: int) -> dict[str, Any]:
    """Touchpoint `number` of the stream: mostly pages viewed, by customers in turn."""
    position = number % CYCLE
    touchpoint: dict[str, Any] = {
        "event_id": f"live-{number:08d}",
        "source": "web",
        "type": "page_viewed",
        "occurred_at": format_epoch_ms(now_ms),
        "identifiers": {"customer_id": f"cust-{number % CUSTOMERS:06d}"},
        "properties": {"url": f"/catalog/{number % 400}", "campaign": "spring", "device": "ios", "app_version": "8.14"},
    }
    asks = number if position in REPEATS else number - FOLLOWS
    if asks % CYCLE in REPEATS and asks >= 0:
        properties = {"contact_id": f"c-{number:08d}", "topic": "delivery"}
        changes = {"source": "support", "type": "contact_started", "channel": "email", "properties": properties}
        # A customer of its own: each pair is a new episode.
        touchpoint |= changes | {"identifiers": {"customer_id": f"asks-{asks:08d}"}}
    elif number % WAIT_CYCLE == WAITS:
        joined_ms = now_ms - QUEUE_LIMIT_MS + QUEUE_LEAD_MS
        changes = {"source": "store", "type": "queue_joined", "store_id": "S-1", "properties": {"queue": "returns"}}
        identifiers = {"customer_id": f"waits-{number:08d}"}
        touchpoint |= changes | {"identifiers": identifiers, "occurred_at": format_epoch_ms(joined_ms)}
    return touchpoint


def make_skewed(number: int, now_ms: int) -> dict[str, Any]:
    """The same, but nine of ten pages are viewed by one customer."""
    touchpoint = make_touchpoint(number, now_ms)
    if touchpoint["type"] == "page_viewed" and number % HOT_CYCLE:
        touchpoint["identifiers"] = {"customer_id": HOT}
    return touchpoint


def send_steadily(servers: str, count: int, per_second: float, make: Make = make_touchpoint) -> Sent:
    """Send `count` touchpoints at a steady rate. Raises BenchmarkFailed when it cannot keep up or one is lost."""
    producer = Producer(producer_options(servers, LINGER_MS))
    sent = Sent()
    began = time.time()
    for number in range(count):
        while (ahead := began + number / per_second - time.time()) > 0:
            producer.poll(min(ahead, 0.001))
        now = time.time()
        _send(producer, make(number, int(now * 1000)), now, sent)
    if time.time() - began > count / per_second * 1.1 + 1:
        raise BenchmarkFailed(f"this machine could not send {per_second:g} touchpoints a second")
    producer.flush(30)
    if len(sent.places) != count:
        raise BenchmarkFailed(f"{count - len(sent.places)} of {count} touchpoints were not delivered")
    return sent


def _send(producer: Producer, touchpoint: dict[str, Any], now: float, sent: Sent) -> None:
    event_id = touchpoint["event_id"]

    if touchpoint["identifiers"]["customer_id"] == HOT:
        sent.hot.add(event_id)

    def note(error: KafkaError | None, message: Message) -> None:
        if error is None:
            sent.places[event_id] = (message.partition() or 0, message.offset() or 0)

    key = f"customer_id:{touchpoint['identifiers']['customer_id']}".encode()
    sent.seconds[event_id] = now
    producer.produce(TOUCHPOINTS, json.dumps(touchpoint).encode(), key, on_delivery=note)
    producer.poll(0)
