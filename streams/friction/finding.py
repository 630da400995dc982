"""What a rule found: one problem, with its evidence. Times are epoch milliseconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from streams.promises import FOREVER_MS
from streams.rules.model import Rule
from streams.touch import Touch, derive_id

MAX_EVIDENCE = 50


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem as it stands at the time of detection.

    `actual` of an open problem grows in doubling steps, so that it depends on `now` only at known moments;
    `promised_ms` is set where the problem is a promise.
    """

    rule: Rule
    anchor: Touch
    subject: str
    opened_ms: int
    last_seen_ms: int
    resolved_ms: int | None
    threshold: float
    actual: float
    unit: Literal["seconds", "contacts"]
    evidence: tuple[Touch, ...]
    promised_ms: int | None = None

    def episode_id(self, customer_key: str) -> str:
        """UUIDv5 of rule, customer and the touchpoint with which the problem began."""
        return derive_id(customer_key, self.rule.id, self.anchor.source, self.anchor.event_id)

    def references(self) -> tuple[str, ...]:
        """The evidence as `source/event_id`; of very many the first and the most recent."""
        kept = self.evidence
        if len(kept) > MAX_EVIDENCE:
            kept = (kept[0], *kept[1 - MAX_EVIDENCE :])
        return tuple(touch.reference for touch in kept)

    @property
    def mark(self) -> tuple[object, ...]:
        """What makes two states of one episode differ."""
        return (
            self.rule.version,
            self.subject,
            self.opened_ms,
            self.last_seen_ms,
            self.resolved_ms,
            self.actual,
            self.references(),
        )


def step_elapsed(elapsed_ms: int, first_ms: int) -> tuple[int, int]:
    """The largest of 0, first, 2 first, 4 first, … not above `elapsed_ms`, and the next one."""
    if elapsed_ms < first_ms:
        return 0, first_ms
    doublings = (elapsed_ms // first_ms).bit_length() - 1
    step = first_ms << doublings
    return step, min(step << 1, FOREVER_MS)
