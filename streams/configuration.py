"""Settings turned into what the pure parts need."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.durations import to_milliseconds
from schemas.identifiers import Pseudonymiser
from schemas.partitioning import partition_of
from schemas.settings import Settings
from streams.decoding import Door
from streams.policy import Policy
from streams.rules.model import Rule
from streams.stitching import StitchingRules


@dataclass(frozen=True)
class Configuration:
    """The door, the policy and the rules of one worker."""

    door: Door
    policy: Policy
    rules: dict[str, Rule]
    live_within_ms: int

    @staticmethod
    def owner(key: bytes, partitions: int) -> int:
        """The partition that owns a record key."""
        return partition_of(key, partitions)

    @classmethod
    def of(cls, settings: Settings, rules: tuple[Rule, ...]) -> Configuration:
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
        )
        stitching = StitchingRules(
            gap_ms=to_milliseconds(settings.journey_gap),
            max_gap_ms=to_milliseconds(settings.journey_max_gap),
            lateness_ms=to_milliseconds(settings.allowed_lateness),
            hold_open=settings.hold_open_for_promises,
        )
        return cls(
            door, Policy(stitching, rules), {rule.id: rule for rule in rules}, to_milliseconds(settings.live_within)
        )
