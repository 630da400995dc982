"""Decisions, links and touchpoints of identity as rows for base tables: give what matters, the rest is filled in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from console.identity_family import Decision, Family, Sighting, Statement
from schemas.moments import to_epoch_ms

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
MINUTE_MS = 60_000
HASH = "3fab12cd90aa" + "0" * 52
OTHER_HASH = "3fab12cd90ab" + "0" * 52
EMAIL, OTHER_EMAIL = f"email:hmac-sha256:k1:{HASH}", f"email:hmac-sha256:k1:{OTHER_HASH}"
CUSTOMER, SECOND, TABLET = "customer_id:C-1", "customer_id:C-2", "device_id:tablet"


def at(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)


def at_ms(minutes: float) -> int:
    return to_epoch_ms(at(minutes))


def decision(identifier: str, owner: str = CUSTOMER, status: str = "linked", **more: Any) -> Decision:
    """What was decided of an identifier, by default by touchpoint web/e1 an hour before NOW."""
    said: dict[str, Any] = {
        "customers": 1, "rule": "seen_together", "source": "web", "event_id": "e1",
        "linked_at": at(-60), "first_seen_at": at(-90), "decided_at": at(-59),
    }  # fmt: skip
    return Decision(identifier, owner, status, **{**said, **more})


def sighting(identifier: str, owner: str, owners: int = 1, times: int = 1, minutes: float = -60) -> Sighting:
    return Sighting(identifier, owner, times, at(minutes), at(minutes + 1), owners)


def statement(identifier: str, owner: str, rule: str, minutes: float = 0, **more: Any) -> Statement:
    """What Noa said, or for a merge what source support did."""
    human = rule != "merged"
    said: dict[str, Any] = {
        "source": "console" if human else "support", "event_id": f"act{minutes}", "by": "Noa" if human else "",
        "reason": "wrong person",
    }  # fmt: skip
    return Statement(identifier, owner, rule, at(minutes), **{**said, **more})


def family(asked: str, *decisions: Decision, **more: Any) -> Family:
    return Family(asked, {each.identifier: each for each in decisions}, **more)


def owner_row(identifier: str, owner: str, status: str = "linked", minutes: float = -60, **more: Any) -> dict[str, Any]:
    """A row of `journeys.identity_owners`."""
    moment = at_ms(minutes)
    decided = {"linked_at_ms": moment, "first_seen_at_ms": moment - 30 * MINUTE_MS, "decided_at_ms": moment + 1_000}
    by = {"rule": "seen_together", "source": "web", "event_id": "e1", "customers": 1, "_version": 1}
    return {"identifier": identifier, "owner": owner, "status": status, **decided, **by, **more}


def link_row(
    identifier: str, owner: str, rule: str = "seen_together", minutes: float = -60, **more: Any
) -> dict[str, Any]:
    """A row of `journeys.identity_links`."""
    by = {"source": "web", "event_id": "e1"}
    return {"identifier": identifier, "owner": owner, "rule": rule, "occurred_at_ms": at_ms(minutes), **by, **more}
