"""Short ways to say what happened, and to load it."""

from __future__ import annotations

from typing import Any

from benchmarks.loading import load

__all__ = ["load", "say"]


def say(
    customer: str, type: str, at: str, *, source: str = "web", event_id: str = "", properties: Any = None, **more: str
) -> dict[str, Any]:
    """A touchpoint; `at` such as `2026-09-01T10:00:00Z`, `more` such as `order_id="O-1"` or `channel="chat"`."""
    return {
        "event_id": event_id or f"{type}-{customer}-{at}",
        "source": source,
        "type": type,
        "occurred_at": at,
        "identifiers": {"customer_id": customer},
        "properties": properties or {},
        **more,
    }
