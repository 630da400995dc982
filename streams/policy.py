"""What decides over a customer, and what is said of each touch."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

from schemas.durations import to_milliseconds
from streams.rules.model import Rule
from streams.stitching import StitchingRules


@dataclass(frozen=True)
class Policy:
    """What decides over a customer: journey boundaries and friction rules.

    Every `snapshot_touches` the stitching of a long history is copied, so that a touch out of order costs that many.
    """

    stitching: StitchingRules
    rules: tuple[Rule, ...] = ()
    snapshot_touches: int = 512

    @cached_property
    def reach_ms(self) -> int:
        """How long after a lone touchpoint its journey can still change."""
        return self.stitching.gap_ms + self.stitching.lateness_ms

    @cached_property
    def lookback_ms(self) -> int:
        """How long after its end a journey with signals is kept for the rules' sake."""
        return max((to_milliseconds(rule.lookback) for rule in self.rules), default=0)


class Verdict(IntEnum):
    """What happened to a touch. `LATE` is stored but belongs to no journey; `REPLACED` supersedes its duplicate."""

    ACCEPTED = 0
    DUPLICATE = 1
    LATE = 2
    REPLACED = 3
