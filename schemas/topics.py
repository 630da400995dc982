"""Every Kafka topic on one screen: name, key, partitions, clean-up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

TOUCHPOINTS = "touchpoints"
TOUCHPOINTS_REKEYED = "touchpoints-rekeyed"
IDENTITY_LINKS = "identity-links"
FACTS = "facts"
FRICTION_ALERTS = "friction-alerts"
ALERT_ACTIONS = "alert-actions"
DEAD_LETTERS = "dead-letters"

REPLAY_HEADER = "journeys-replay"
"""Header of a replayed record: its touchpoint may be older than the oldest that is otherwise accepted."""
REPLAY_OF_HEADER = "journeys-replay-of"
"""Header of a dead letter that is sent again: which one, `topic-partition-offset`."""
REPLAY_ATTEMPT_HEADER = "journeys-replay-attempt"
"""Header beside it: how often it has been sent again with this, in digits."""
HOP_HEADER = "journeys-hop"
"""Header of a touchpoint sent on to its owner: through which identifiers it came, and when it reached the door."""
RELEASE_HEADER = "journeys-release"
"""Header of a record that is no touchpoint: what came through this identifier must go back to it."""
REBUILD_HEADER = "journeys-rebuild"
"""Header of a record that is no touchpoint: the customer of its key is to be stitched anew from all that is stored."""
REBUILD_VALUE = b'{"rebuild":true}'
"""The value of such a record, for whoever reads the topic."""


@dataclass(frozen=True)
class Topic:
    """One topic. `partitions` None means: as many as the setting `partitions` says, the same for all such topics."""

    name: str
    key: str
    partitions: int | None
    cleanup: Literal["delete", "compact"]
    holds: str
    retention_days: int | None = None
    """How long records are kept; None: for ever, or until compaction replaces them."""


TOPICS = (
    Topic(TOUCHPOINTS, "strongest identifier, kind:value", None, "delete", "what sources emit", 30),
    Topic(
        TOUCHPOINTS_REKEYED, "owner's identifier, kind:value", None, "delete", "touchpoints sent on to their owner", 30
    ),
    Topic(
        IDENTITY_LINKS,
        "weaker and stronger identifier, rule",
        None,
        "compact",
        "why an identifier belongs to a customer",
    ),
    Topic(FACTS, "what the fact is about", 1, "compact", "stock, restocks and heartbeats: no single customer's"),
    Topic(FRICTION_ALERTS, "episode id", None, "compact", "the latest state of each friction episode"),
    Topic(ALERT_ACTIONS, "action id", 1, "compact", "what people did about alerts, for those who watch live"),
    Topic(DEAD_LETTERS, "origin topic-partition-offset", None, "delete", "refused input with its reason", 90),
)


def partitions_of(topic: Topic, default_partitions: int) -> int:
    """How many partitions a topic is created with."""
    return topic.partitions or default_partitions


def configuration_of(topic: Topic) -> dict[str, str]:
    """The topic's settings on the broker. `retention.ms` is always stated: not every broker has a default for it."""
    retention_ms = -1 if topic.retention_days is None else topic.retention_days * 86_400_000
    return {"cleanup.policy": topic.cleanup, "retention.ms": str(retention_ms)}
