"""Takeover: one of two workers is killed; how long until the other has joined, has restored, and raises an alert."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass

from confluent_kafka import Producer

from benchmarks.figures import Figure, at_most
from benchmarks.ground import PARTITIONS, BenchmarkFailed, Ground, Report, producer_options, wait_until
from benchmarks.watching import Alerts
from benchmarks.worker import Worker
from schemas.moments import format_epoch_ms
from schemas.partitioning import partition_of
from schemas.topics import TOUCHPOINTS

CUSTOMERS = 200_000
SESSION_SECONDS = 6
WANTED_RESTORE_SECONDS = 5.0
PROBE_SECONDS = 0.02
PATIENCE_SECONDS = 300


@dataclass(frozen=True)
class Takeover:
    """Seconds from the kill to each."""

    joined: float
    restored: float
    alert: float


def measure(count: int | None, report: Report) -> list[Figure]:
    """Open a journey for `count` customers (default 200,000), kill the worker that owns half of them, and watch.

    From the kill on customers of the partitions that it had ask twice, some of them each 20 ms. The session timeout is
    6 s: so long it takes until the group knows of the death.
    """
    customers = count or CUSTOMERS
    with Ground() as ground, ground.worker() as survivor, ground.worker() as victim:
        report("waiting for a share for each worker")
        share = PARTITIONS // 2
        wait_until(lambda: survivor.partitions == victim.partitions == share, "a share for each worker", 60)
        ground.load(_visits(customers, int(time.time() * 1000)), report, customers)
        report(f"taking in {customers:,} customers")
        wait_until(lambda: ground.committed_records() == customers, "all taken in", PATIENCE_SECONDS)
        owned = {int(number) for number in victim.metrics().by_label("partition_time_seconds", "partition")}
        report("killing a worker")
        found = _watch(ground, survivor, victim, owned, customers)
    return [
        Figure("takeover_join", found.joined, "s"),
        at_most("takeover_restore", found.restored - found.joined, "s", WANTED_RESTORE_SECONDS),
        at_most("takeover_alert", found.alert, "s", SESSION_SECONDS + WANTED_RESTORE_SECONDS),
        Figure("takeover_customers", customers, "customers"),
    ]


def _watch(ground: Ground, survivor: Worker, victim: Worker, owned: set[int], customers: int) -> Takeover:
    alerts = Alerts(ground.kafka)
    alerts.start()
    producer = Producer(producer_options(ground.kafka, linger_ms=2))
    probes = _probes(owned)
    began = time.time()
    victim.kill()
    joined = restored = 0.0
    while not alerts.opened:
        _ask(producer, next(probes))
        now = time.time() - began
        if now > PATIENCE_SECONDS:
            raise BenchmarkFailed(f"not within {PATIENCE_SECONDS} s: an alert")
        metrics = survivor.metrics()
        if not joined and metrics.total("partitions_assigned") == PARTITIONS:
            joined = now
        if not restored and metrics.total("open_customers") >= customers:
            restored = now
        time.sleep(PROBE_SECONDS)
    alert = alerts.opened[0].arrived - began
    alerts.stop()
    producer.flush(30)
    return Takeover(min(joined or alert, alert), min(restored or alert, alert), alert)


def _visits(customers: int, now_ms: int) -> Iterator[tuple[bytes, bytes]]:
    """A touchpoint of each customer, all of the last minutes, so that their journeys are open."""
    for number in range(customers):
        touchpoint = {
            "event_id": f"visit-{number:08d}",
            "source": "web",
            "type": "page_viewed",
            "occurred_at": format_epoch_ms(now_ms - 60_000 + number * 60_000 // customers),
            "identifiers": {"customer_id": f"cust-{number:07d}"},
            "properties": {"url": f"/catalog/{number % 400}"},
        }
        yield f"customer_id:cust-{number:07d}".encode(), json.dumps(touchpoint).encode()


def _probes(partitions: set[int]) -> Iterator[str]:
    """Customers of these partitions."""
    number = 0
    while True:
        number += 1
        name = f"asks-{number:08d}"
        if partition_of(f"customer_id:{name}".encode(), PARTITIONS) in partitions:
            yield name


def _ask(producer: Producer, customer: str) -> None:
    """Have a customer ask support twice: that is an alert."""
    for turn in range(2):
        touchpoint = {
            "event_id": f"{customer}-{turn}",
            "source": "support",
            "type": "contact_started",
            "channel": "email",
            "occurred_at": format_epoch_ms(int(time.time() * 1000) - 1 + turn),
            "identifiers": {"customer_id": customer},
            "properties": {"contact_id": f"{customer}-{turn}", "topic": "delivery"},
        }
        producer.produce(TOUCHPOINTS, json.dumps(touchpoint).encode(), f"customer_id:{customer}".encode())
    producer.poll(0)
