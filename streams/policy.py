"""What decides over a customer, and what is said of each touch."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property

from streams.friction.plan import Plan
from streams.identity.choice import Limits
from streams.scoring import JourneyFacts, Weights
from streams.stitching import Journey, StitchingRules

ScoreCells = tuple[float, float, str, str, str, str]
"""Experience and effort, then names and values of the parts of each, joined."""


@dataclass(frozen=True)
class Policy:
    """What decides over a customer: journey boundaries, friction rules, limits of identity and weights of scores.

    Every `snapshot_touches` the stitching of a long history is copied, so that a touch out of order costs that many.
    """

    stitching: StitchingRules
    plan: Plan = field(default_factory=Plan)
    weights: Weights | None = None
    snapshot_touches: int = 512
    limits: Limits = field(default_factory=Limits)

    @cached_property
    def score_cells(self) -> dict[JourneyFacts, ScoreCells]:
        """What journeys that came to the same were scored, as rows hold it."""
        return {}

    @cached_property
    def reach_ms(self) -> int:
        """How long after a lone touchpoint its journey can still change."""
        return self.stitching.gap_ms + self.stitching.lateness_ms

    def forgettable_ms(self, journey: Journey) -> int:
        """Until when a journey that is over has to be kept: something could still change it, or the rules look back."""
        rules = self.stitching
        closes_ms = journey.closes_ms(rules)
        if journey.has_signals:
            closes_ms = max(closes_ms, journey.last.occurred_ms + self.plan.lookback_ms)
        if any(promise.settling is None for promise in journey.promises):
            closes_ms = max(closes_ms, journey.last.occurred_ms + rules.max_gap_ms)
        return closes_ms + rules.lateness_ms


class Verdict(IntEnum):
    """What happened to a touch.

    `LATE` is stored but belongs to no journey; `REPLACED` supersedes its duplicate; of `RETURNED` only the row is gone.
    """

    ACCEPTED = 0
    DUPLICATE = 1
    LATE = 2
    REPLACED = 3
    RETURNED = 4
