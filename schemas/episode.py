"""The friction episode (alert): one rule's finding on one subject, as ops and analysts see it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Severity = Literal["info", "warning", "critical"]
EpisodeStatus = Literal["open", "resolved", "withdrawn"]


class Episode(BaseModel):
    """One state of an episode, as published on topic `friction-alerts` under its id.

    `version` grows with each state; a reader keeps the greatest. Times are RFC 3339. `threshold` and `actual`
    share `unit`.
    """

    model_config = ConfigDict(frozen=True)

    episode_id: str
    version: int
    rule: str
    rule_version: int
    severity: Severity
    status: EpisodeStatus
    customer_id: str
    journey_id: str
    subject: str
    store_id: str
    opened_at: str
    last_seen_at: str
    resolved_at: str | None
    threshold: float
    actual: float
    unit: Literal["seconds", "contacts"]
    title: dict[str, str]
    reason: dict[str, str]
    advice: dict[str, str]
    evidence: tuple[str, ...]
    detected_at: str
