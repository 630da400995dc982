"""The episode (alert): one rule's finding on one subject, as ops and analysts see it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Severity = Literal["info", "warning", "critical"]
EpisodeStatus = Literal["open", "resolved", "withdrawn"]
EpisodeKind = Literal["friction", "delight", "opportunity", "source"]
Change = Literal["opened", "updated", "escalated", "resolved", "withdrawn"]
WithdrawnBecause = Literal["", "late_data", "corrected", "rule_changed", "merged", "unlinked"]


class Episode(BaseModel):
    """One state of an episode, as published on topic `friction-alerts` under its id.

    `version` grows with each state; a reader keeps the greatest. Times are RFC 3339. `threshold` and `actual`
    share `unit`. `change` is what this state adds to the one before. `limit_at` is the clock value by which all would
    have been well, `silent_if` the smallest change that would have kept the rule silent; `affected_customers` is how
    many share the problem, None where that was not counted. What has a default came later: records that were
    published before are still read.
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
    unit: str
    title: dict[str, str]
    reason: dict[str, str]
    advice: dict[str, str]
    evidence: tuple[str, ...]
    detected_at: str
    kind: EpisodeKind = "friction"
    change: Change = "opened"
    limit_at: str | None = None
    silent_if: dict[str, str] = {"en": "", "he": ""}
    withdrawn_because: WithdrawnBecause = ""
    affected_customers: int | None = None
