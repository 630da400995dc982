"""What a partition asks of ClickHouse between two flushes, and the answers. Plain data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from streams.identity.choice import Evidence, Status
from streams.records import Arrival
from streams.touch import Touch


@dataclass(slots=True)
class Asks:
    """Keys of which something must be read: evidence, what has to move, whole histories. Of `staying` there is nothing
    to be read, as it moves nowhere. Of those among `evidence` that are `linked` it is asked whether anything is stored.
    """

    evidence: list[str] = field(default_factory=list)
    linked: list[str] = field(default_factory=list)
    moving: list[str] = field(default_factory=list)
    partial: list[str] = field(default_factory=list)
    staying: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Whether anything is asked."""
        return bool(self.evidence or self.moving or self.partial or self.staying)


@dataclass(slots=True)
class History:
    """One customer's rows. `origins`: topic and partition of each. `is_whole`: nothing was left that could not be read
    at once.
    """

    arrivals: list[Arrival] = field(default_factory=list)
    origins: list[tuple[str, int]] = field(default_factory=list)
    late: list[bool] = field(default_factory=list)
    journey_ids: list[str] = field(default_factory=list)
    promise_ids: list[str] = field(default_factory=list)
    episode_ids: list[str] = field(default_factory=list)
    is_whole: bool = True


class Known(NamedTuple):
    """What is known of an identifier: evidence, and what was decided by it last, `version` 0 if nothing was.

    `is_stored`: touchpoints may be stored under it.
    """

    evidence: list[Evidence]
    owner: str = ""
    status: Status = ""
    version: int = 0
    is_stored: bool = True


class Answers(NamedTuple):
    """What was read, by key."""

    known: Mapping[str, Known]
    moving: Mapping[str, History]
    partial: Mapping[str, History]
    staying: Sequence[str] = ()

    def of(self, asks: Asks) -> Answers:
        """Those to what one asked."""
        return Answers(
            {key: self.known[key] for key in asks.evidence},
            {key: self.moving[key] for key in asks.moving},
            {key: self.partial[key] for key in asks.partial if key in self.partial},
            asks.staying,
        )


def join(asked: Iterable[Asks]) -> Asks:
    """What several ask, as one."""
    joined = Asks()
    for asks in asked:
        joined.evidence += asks.evidence
        joined.linked += asks.linked
        joined.moving += asks.moving
        joined.partial += asks.partial
        joined.staying += asks.staying
    return joined


def touches_of(history: History, but: Iterable[int] = ()) -> list[Touch]:
    """The touches of a history that belong in journeys, without those at the places in `but`."""
    left_out = set(but)
    return [
        arrival.touch
        for place, (arrival, is_late) in enumerate(zip(history.arrivals, history.late, strict=True))
        if not is_late and place not in left_out
    ]


def admit_late(history: History, but: Iterable[int] = ()) -> list[int]:
    """Take what came too late, except at the places in `but`, as if it had come in time; returns its places.

    What is another version of a touchpoint that is there already stays late: the one that was received first counts.
    """
    left_out = set(but)
    named = {arrival.touch.reference for arrival, late in zip(history.arrivals, history.late, strict=True) if not late}
    places = []
    for place in sorted(range(len(history.late)), key=lambda each: history.arrivals[each].touch.received_ms):
        reference = history.arrivals[place].touch.reference
        if history.late[place] and place not in left_out and reference not in named:
            named.add(reference)
            places.append(place)
            history.late[place] = False
    return places
