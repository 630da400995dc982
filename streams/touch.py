"""The touch: what the worker keeps of a touchpoint while its journey is open."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

NAMESPACE = uuid.UUID("6f1d1f5e-2f0b-5d0e-9d3c-2a4c8f6b7e10")
"""Namespace of every UUIDv5 that this platform derives."""

DETAILS: dict[str, tuple[str, ...]] = {
    "queue_joined": ("queue",),
    "service_started": ("queue",),
    "contact_started": ("contact_id", "topic"),
    "contact_answered": ("contact_id", "by"),
    "contact_ended": ("contact_id", "resolved"),
    "contact_abandoned": ("contact_id",),
    "callback_promised": ("contact_id", "due_at"),
    "callback_made": ("contact_id",),
    "order_placed": ("promised_by",),
    "delivery_promised": ("promised_by", "parcels"),
    "delivery_delayed": ("promised_by",),
    "dispatched": ("parcels",),
    "out_for_delivery": (),
    "delivered": ("parcel_id", "parcels"),
    "picked_up": (),
    "parcel_returned": (),
    "returned": (),
    "refund_promised": ("due_at",),
    "refund_issued": (),
    "hold_created": ("sku", "expires_at"),
    "hold_collected": ("sku",),
    "hold_expired": ("sku",),
    "complaint_opened": ("topic",),
    "complaint_resolved": (),
    "back_in_stock_requested": ("sku", "store_id"),
    "notification_sent": ("topic", "sku"),
}
"""Types that promises and journeys look at ("signals"), with the properties they need. Moments become epoch ms.

The rules that are loaded add theirs: see `streams.friction.plan`.
"""


class Touch(msgspec.Struct, array_like=True, gc=False):
    """One retained touchpoint. Times are epoch milliseconds; `details` is None for types that are no signal.

    `moves`: how often it was sent on from one customer to another.
    """

    occurred_ms: int
    source: str
    event_id: str
    type: str
    received_ms: int
    channel: str | None = None
    order_id: str | None = None
    case_id: str | None = None
    store_id: str | None = None
    agent_id: str | None = None
    details: dict[str, Any] | None = None
    # What has a default came later; touches that were stored before are still read.
    moves: int = 0

    @property
    def reference(self) -> str:
        """`source/event_id`, as evidence lists name it."""
        return f"{self.source}/{self.event_id}"


def order_key(touch: Touch) -> tuple[int, str, str]:
    """The order of a customer's touchpoints: when, then source, then event id."""
    return touch.occurred_ms, touch.source, touch.event_id


_NAMESPACE_HASH = hashlib.sha1(NAMESPACE.bytes, usedforsecurity=False)
_VARIANTS = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


def derive_id(*parts: str) -> str:
    """UUIDv5 of the parts, as text. Deterministic: the same parts give the same id everywhere."""
    # The standard library's uuid5 builds an object only to print it: three times the cost.
    hashed = _NAMESPACE_HASH.copy()
    hashed.update("\x1f".join(parts).encode())
    digits = hashed.hexdigest()
    return f"{digits[:8]}-{digits[8:12]}-5{digits[13:16]}-{_VARIANTS[digits[16]]}{digits[17:20]}-{digits[20:32]}"


def identify(seen: Mapping[str, Touch], touch: Touch) -> str:
    """The key of a touch in `seen`: its event id, or with its source where another source uses the same id."""
    known = seen.get(touch.event_id)
    return touch.event_id if known is None or known.source == touch.source else f"{touch.source}\0{touch.event_id}"


def index_touches(log: Iterable[Touch]) -> dict[str, Touch]:
    """Touches by the key that `identify` gives them."""
    seen: dict[str, Touch] = {}
    for touch in log:
        seen[identify(seen, touch)] = touch
    return seen


def rank(touch: Touch) -> tuple[int, bytes]:
    """Of several versions of one touchpoint the one of lowest rank counts: the first received, then by content."""
    return touch.received_ms, msgspec.msgpack.encode(msgspec.structs.replace(touch, moves=0))
