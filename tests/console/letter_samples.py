"""Dead letters for tests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from console.letter_store import Head, Letter
from schemas.dead_letter import LetterId
from schemas.topics import TOUCHPOINTS

ARRIVED_AT = datetime(2026, 11, 21, 10, 0, 0, 123_000, UTC)
NOW = datetime.now(UTC)


def body(**changed: Any) -> bytes:
    """A touchpoint that happened now; what is None is left out."""
    found = {
        "event_id": "e-1",
        "source": "web",
        "type": "browsed",
        "occurred_at": NOW,
        "identifiers": {"customer_id": "C-1"},
    }
    kept = {name: value for name, value in {**found, **changed}.items() if value is not None}
    return json.dumps(kept, default=datetime.isoformat).encode()


def letter(
    raw: bytes = b"{", *, headers: Mapping[str, bytes] | None = None, key: bytes = b"k", **changed: Any
) -> Letter:
    """One that is open; `changed` is what is otherwise in its head."""
    head = {
        "id": LetterId(TOUCHPOINTS, 1, 2), "reason": "invalid_json", "step": "decode", "detail": "truncated",
        "raw_bytes": len(raw), "refused_at": ARRIVED_AT, "arrived_at": ARRIVED_AT, "replay_of": "", "attempt": 0,
        "replays": 0, "replayed_at": None, "replayed_by": "", "refused_again_as": "", "status": "open",
    }  # fmt: skip
    return Letter(Head(**{**head, **changed}), key, raw, headers or {}, 7)
