"""The workload: 400,000 touchpoints of about 300 bytes for 20,000 customers, 2 % late, 1 % repeated; seed 7.

24 hours of event time; arrival order is event time except for touchpoints delayed by 1 to 45 minutes. A repeat arrives
up to ten minutes after the first. Types are the catalogue's, with the properties that they require.
"""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from schemas.moments import format_epoch_ms

COUNT = 400_000
CUSTOMERS = 20_000
DUPLICATE_SHARE = 0.01
LATE_SHARE = 0.02
GAP_MS = 1_800_000
START_MS = int(datetime(2026, 9, 1, tzinfo=UTC).timestamp() * 1000)
DAY_MS = 86_400_000

_SOURCES = ("web", "store", "support", "delivery")
_TYPES = {
    "web": ("page_viewed", "cart_updated", "checkout_started", "searched"),
    "store": ("visit_started", "purchased", "returned"),
    "support": ("contact_started", "contact_answered", "contact_ended"),
    "delivery": ("dispatched", "out_for_delivery", "delivered"),
}


def _properties(rng: random.Random, kind: str) -> dict[str, Any]:
    common = {
        "campaign": rng.choice(("spring", "brand", "none")),
        "device": rng.choice(("ios", "android", "desktop")),
        "app_version": f"8.{rng.randrange(10, 40)}",
    }
    match kind:
        case "page_viewed":
            typed: dict[str, Any] = {"url": f"/catalog/{rng.randrange(400)}/item-{rng.randrange(90_000):05d}"}
        case "searched":
            typed = {"query": f"item {rng.randrange(90_000)}"}
        case "cart_updated":
            typed = {"sku": f"sku-{rng.randrange(90_000):05d}", "quantity": 1}
        case "checkout_started":
            typed = {"cart_value": 99.9}
        case "purchased":
            typed = {"receipt_id": f"r-{rng.getrandbits(32):08x}", "amount": 99.9, "currency": "ILS"}
        case "returned":
            typed = {"reason": "size"}
        case "contact_started":
            typed = {"contact_id": f"c-{rng.getrandbits(32):08x}", "topic": f"topic-{rng.randrange(50)}"}
        case "contact_answered":
            typed = {"contact_id": f"c-{rng.getrandbits(32):08x}", "by": "human"}
        case "contact_ended":
            typed = {"contact_id": f"c-{rng.getrandbits(32):08x}", "resolved": True}
        case _:
            typed = {"visit": f"{rng.getrandbits(96):024x}"}
    return typed | common


def _touchpoint(rng: random.Random, occurred_ms: int, customer: int) -> dict[str, Any]:
    source = rng.choices(_SOURCES, (70, 12, 8, 10))[0]
    kind = rng.choice(_TYPES[source])
    touchpoint: dict[str, Any] = {
        "event_id": str(uuid.UUID(int=rng.getrandbits(128), version=4)),
        "source": source,
        "type": kind,
        "occurred_at": format_epoch_ms(occurred_ms),
        "identifiers": {"customer_id": f"cust-{customer:06d}"},
    }
    if source == "delivery" or kind in ("checkout_started", "purchased", "returned"):
        touchpoint["order_id"] = f"ord-{rng.getrandbits(40):010x}"
    touchpoint["channel"] = "app"
    touchpoint["properties"] = _properties(rng, kind)
    return touchpoint


def generate(count: int = COUNT, customers: int = CUSTOMERS, seed: int = 7) -> Iterator[tuple[bytes, bytes]]:
    """(record key, record value) in order of arrival. The same arguments give the same bytes."""
    rng = random.Random(seed)
    unique = count - int(count * DUPLICATE_SHARE)
    moments: list[tuple[int, int]] = []
    while len(moments) < unique:
        customer, occurred_ms = rng.randrange(customers), START_MS + rng.randrange(DAY_MS)
        for _ in range(min(30, 1 + int(rng.expovariate(1 / 4.5)))):
            moments.append((occurred_ms, customer))
            occurred_ms += min(1_500_000, 1_000 + int(rng.expovariate(1 / 240_000)))
    arriving: list[tuple[int, dict[str, Any]]] = []
    for occurred_ms, customer in moments[:unique]:
        delay_ms = rng.randrange(60_000, 2_700_000) if rng.random() < LATE_SHARE else 0
        arriving.append((occurred_ms + delay_ms, _touchpoint(rng, occurred_ms, customer)))
    for arrival_ms, touchpoint in rng.sample(arriving, count - unique):
        arriving.append((arrival_ms + rng.randrange(600_000), touchpoint))
    arriving.sort(key=lambda pair: pair[0])
    for _, touchpoint in arriving:
        key = f"customer_id:{touchpoint['identifiers']['customer_id']}".encode()
        yield key, json.dumps(touchpoint, separators=(",", ":")).encode()
