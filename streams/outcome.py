"""What a chunk, an errand or the passing of time brought. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

from schemas.links import Link
from schemas.moments import format_epoch_ms
from streams.records import Arrival
from streams.states import EpisodeState

MANY_LATE = 100


class Sending(NamedTuple):
    """A record to be sent to the partition of `topic` that owns `owner_key`."""

    topic: str
    owner_key: str
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass(slots=True)
class Outcome:
    """Counters are by source, `identity` by what was done; `merge_seconds`: from a first touchpoint to its link.

    `links` are those among the sendings that say what was seen together; `handed` arrivals go to these keys.
    """

    accepted: Counter[str] = field(default_factory=Counter)
    duplicate: Counter[str] = field(default_factory=Counter)
    late: Counter[str] = field(default_factory=Counter)
    identity: Counter[str] = field(default_factory=Counter)
    hops: Counter[int] = field(default_factory=Counter)
    merge_seconds: list[float] = field(default_factory=list)
    sendings: list[Sending] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    handed: defaultdict[str, list[Arrival]] = field(default_factory=lambda: defaultdict(list))
    changes: list[tuple[str, EpisodeState]] = field(default_factory=list)

    @property
    def is_mostly_late(self) -> bool:
        """Whether so much of it is late that something must be wrong."""
        return MANY_LATE <= self.late.total() > self.accepted.total() / 2


def describe_late(partition: int, time_ms: int, outcome: Outcome) -> str:
    """What to say of a chunk that is mostly late."""
    return (
        f"{outcome.late.total()} of {outcome.accepted.total()} touchpoints are late for partition {partition}, "
        f"whose time is {format_epoch_ms(time_ms)}: "
        "history that is replayed after newer touchpoints joins no journey"
    )
