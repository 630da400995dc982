"""Alerts and actions as tests need them: give what matters, the rest is filled in."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from schemas.alert_action import AlertAction

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)


def uuid(number: int) -> str:
    return str(UUID(int=number))


def act(number: int, action: str, minute: float = 0, **more: Any) -> AlertAction:
    """Action `number` on episode 1 by Noa, `minute` minutes after NOW."""
    said = {"action_id": uuid(number), "episode_id": uuid(1), "action": action, "by": "Noa", "acted_at": at(minute)}
    return AlertAction.model_validate({**said, **more})


def silence(number: int, minute: float, until: float | None, **matchers: str) -> AlertAction:
    """A silence until so many minutes after NOW, or with None the end of one."""
    action = "unsilence" if until is None else "silence"
    more = {} if until is None else {"until": at(until)}
    return act(number, action, minute, episode_id=None, **more, **matchers)


def alert(**changed: Any) -> dict[str, Any]:
    """A row of `analytics.alerts`."""
    row = {
        "episode_id": UUID(int=1), "journey_id": UUID(int=2), "customer_id": "C-1", "rule": "long_wait",
        "rule_version": 3, "severity": "critical", "status": "open", "effective_status": "open", "kind": "friction",
        "subject": "tills", "store_id": "S-1", "opened_at": at(0), "last_seen_at": at(1), "resolved_at": None,
        "threshold": 600.0, "actual": 750.0, "unit": "seconds", "title_en": "Long wait", "title_he": "המתנה ארוכה",
        "reason_en": "waited 12.5 min", "reason_he": "המתין", "advice_en": "open a till", "advice_he": "פתחו קופה",
        "limit_at": at(-1), "silent_if_en": "had it been quicker", "silent_if_he": "אילו", "withdrawn_because": "",
        "evidence": ["store/e1", "store/e2"], "affected_customers": None, "assigned_to": "", "acknowledged_by": "",
        "human_resolved_by": "", "silenced": False,
    }  # fmt: skip
    return {**row, **changed}


def touchpoint(event_id: str, minute: float, **changed: Any) -> dict[str, Any]:
    """A row of the evidence."""
    row = {
        "source": "store", "event_id": event_id, "occurred_at": at(minute), "type": "queue_joined", "order_id": "",
        "store_id": "S-1", "channel": "", "agent_id": "", "properties": '{"queue": "tills"}',
    }  # fmt: skip
    return {**row, **changed}
