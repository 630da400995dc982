"""Settings turned into what the pure parts need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from schemas.durations import to_milliseconds
from schemas.identifiers import Pseudonymiser
from schemas.settings import Settings
from schemas.touchpoint import READ_VERSIONS
from streams.decoding import Door
from streams.friction.plan import Plan
from streams.identity.choice import MOST_OWNERS, Limits
from streams.policy import Policy
from streams.rules.model import Rule
from streams.scoring import Weights
from streams.silence import SOURCE_SILENT
from streams.stitching import StitchingRules


@dataclass(frozen=True)
class Configuration:
    """The door and the policy of one worker."""

    door: Door
    policy: Policy
    live_within_ms: int

    @cached_property
    def rules(self) -> Mapping[str, Rule]:
        """What episodes may be of, by id: the rules in force, and the guard's."""
        return {**self.policy.plan.rules, SOURCE_SILENT.id: SOURCE_SILENT}

    @classmethod
    def of(
        cls,
        settings: Settings,
        plan: Plan,
        weights: Weights | None = None,
        versions: frozenset[int] = READ_VERSIONS,
    ) -> Configuration:
        """The configuration that the settings ask for."""
        secret = settings.identifier_key
        door = Door(
            oldest_ms=to_milliseconds(settings.oldest_touchpoint),
            ahead_ms=to_milliseconds(settings.furthest_ahead),
            skew_bound_ms=to_milliseconds(settings.clock_skew_bound),
            max_bytes=settings.max_touchpoint_bytes,
            pseudonymiser=None
            if secret is None
            else Pseudonymiser(secret.get_secret_value().encode(), settings.identifier_key_id, settings.default_region),
            versions=versions,
        )
        stitching = StitchingRules(
            gap_ms=to_milliseconds(settings.journey_gap),
            max_gap_ms=to_milliseconds(settings.journey_max_gap),
            lateness_ms=to_milliseconds(settings.allowed_lateness),
            hold_open=settings.hold_open_for_promises,
        )
        limits = Limits(
            to_milliseconds(settings.identity_window),
            {**MOST_OWNERS, **settings.identity_limits},
            frozenset(settings.identity_unique),
            frozenset(settings.identity_nobody),
        )
        return cls(door, Policy(stitching, plan, weights, limits=limits), to_milliseconds(settings.live_within))
