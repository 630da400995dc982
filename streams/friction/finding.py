"""What a rule found: one problem, or one good moment, with its evidence. Times are epoch milliseconds."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.episode import Severity
from streams.promises import FOREVER_MS
from streams.rules.model import Rule
from streams.touch import Touch, derive_id

MAX_EVIDENCE = 50


@dataclass(frozen=True, slots=True)
class Finding:
    """One episode as it stands at the time of detection.

    `actual` of an open problem grows in doubling steps, so that it depends on `now` only at known moments;
    `promised_ms` is set where the problem is a promise; `limit_ms` is the last moment at which all would be well.
    `awaits`: the sources whose saying nothing it rests on; empty where it rests on what was said.
    """

    rule: Rule
    anchor: Touch
    subject: str
    opened_ms: int
    last_seen_ms: int
    resolved_ms: int | None
    threshold: float
    actual: float
    unit: str
    evidence: tuple[Touch, ...]
    severity: Severity
    promised_ms: int | None = None
    limit_ms: int | None = None
    awaits: frozenset[str] = frozenset()

    def episode_id(self, customer_key: str) -> str:
        """UUIDv5 of rule, customer and the touchpoint with which the problem began."""
        return derive_id(customer_key, self.rule.id, self.anchor.source, self.anchor.event_id)

    @property
    def ended_ms(self) -> int:
        """When it was resolved, else when it was last seen."""
        return self.last_seen_ms if self.resolved_ms is None else self.resolved_ms

    def references(self) -> tuple[str, ...]:
        """The evidence as `source/event_id`; of very many the first and the most recent."""
        kept = self.evidence
        if len(kept) > MAX_EVIDENCE:
            kept = (kept[0], *kept[1 - MAX_EVIDENCE :])
        return tuple(touch.reference for touch in kept)


def step_elapsed(elapsed_ms: int, first_ms: int) -> tuple[int, int]:
    """The largest of 0, first, 2 first, 4 first, … not above `elapsed_ms`, and the next one."""
    if elapsed_ms < first_ms:
        return 0, first_ms
    doublings = (elapsed_ms // first_ms).bit_length() - 1
    step = first_ms << doublings
    return step, min(step << 1, FOREVER_MS)


def point(
    rule: Rule,
    touch: Touch,
    subject: str,
    evidence: tuple[Touch, ...],
    *,
    actual: float = 1,
    threshold: float = 0,
    unit: str = "times",
) -> Finding:
    """An episode that is over as it begins: at that touch. Its anchor is the first of the evidence."""
    moment = touch.occurred_ms
    return Finding(
        rule=rule,
        anchor=evidence[0],
        subject=subject,
        opened_ms=moment,
        last_seen_ms=moment,
        resolved_ms=moment,
        threshold=threshold,
        actual=actual,
        unit=unit,
        evidence=evidence,
        severity=rule.judge_severity(moment, moment, actual)[0],
    )
