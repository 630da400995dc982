"""The shop: customers begin stories all day long, and the shop tells them all at once, in order of time."""

from __future__ import annotations

import heapq
from bisect import bisect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from itertools import accumulate
from random import Random
from typing import Any, Literal

from producers.simulator.browsing import browse
from producers.simulator.contacting import ask
from producers.simulator.hours import DAY_MS, activity
from producers.simulator.ordering import buy
from producers.simulator.personas import Persona, make_persona
from producers.simulator.praising import be_surprised, praise
from producers.simulator.story import Step, Story, Telling
from producers.simulator.truth import Friction, Ledger
from producers.simulator.visiting import reserve, trust_the_site, visit
from schemas.moments import to_epoch_ms

_TELLERS: tuple[tuple[int, Callable[[Story], Telling]], ...] = (
    (340, browse),
    (270, buy),
    (200, visit),
    (90, ask),
    (35, reserve),
    (6, trust_the_site),
    (25, praise),
    (25, be_surprised),
)
_BOUNDS = tuple(accumulate(weight for weight, _ in _TELLERS))
DAYS_BETWEEN_STORIES = 14
MEAN_TOUCHPOINTS_PER_STORY = 7.2
_NEW_CUSTOMER_SHARE = 0.5


@dataclass(frozen=True)
class Surge:
    """From `from_ms` on, that many stories begin each second, day and night."""

    from_ms: int
    stories_per_second: float


Happening = Literal["touchpoint", "fact", "friction"]
Script = tuple[int, Callable[[Story], Telling], int]
"""A story that must happen: when it begins (epoch milliseconds), what it tells, and the customer's number."""


@dataclass(frozen=True)
class Shop:
    """A shop whose whole life follows from its arguments: the same arguments tell the same, byte for byte.

    `customers` come one after another until all are known; `stories_per_day` is by default one per customer and
    fortnight. Without `end` the life goes on for ever. `anonymous_share` of the visits to the site carry only an
    anonymous_id until the log-in. `always_open` forgets opening hours and nights. Without `personal`, nothing carries
    a phone number or an e-mail address. Raises ValueError for a time without a zone or a number out of range.
    """

    seed: int
    start: datetime
    customers: int = 10_000
    end: datetime | None = None
    stories_per_day: float | None = None
    anonymous_share: float = 0.0
    always_open: bool = False
    personal: bool = True
    known_at_start: int = 0
    surge: Surge | None = None
    script: Sequence[Script] = ()

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or (self.end is not None and self.end.tzinfo is None):
            raise ValueError("the start and the end need a zone, such as 2026-11-21T10:00:00+02:00")
        if self.customers < 1 or not 0 <= self.known_at_start <= self.customers:
            raise ValueError("a shop needs at least 1 customer, and knows no more at the start than it has")
        if not 0 <= self.anonymous_share <= 1:
            raise ValueError("anonymous_share must be between 0 and 1")
        if self.stories_per_day is not None and self.stories_per_day <= 0:
            raise ValueError("stories_per_day must be more than 0")

    def steps(self, count: int | None = None) -> Iterator[Step]:
        """The touchpoints and facts of this life in order of time; with `count`, up to that many touchpoints.

        Memory grows with the stories under way, not with the time told.
        """
        left = count
        for step in Run(self).steps():
            if left == 0:
                return
            yield step
            if left is not None and step.kind == "touchpoint":
                left -= 1

    def happenings(self, count: int | None = None) -> Iterator[tuple[Happening, Any]]:
        """Everything in order of time: `("touchpoint", dict)`, `("fact", dict)` and `("friction", Friction)`.

        A friction comes as soon as it is true: before the first touchpoint later than its `true_at_ms`. With `count`,
        the life ends with that touchpoint. Where visits may be anonymous, a life that ends is told twice: what came
        before a log-in belongs to who logged in later.
        """
        ledger, now_ms, told = Ledger(self._learn_links(count)), 0, 0
        for now_ms, kind, payload in self.steps(count):
            observe = ledger.observe if kind == "touchpoint" else ledger.observe_fact
            yield from (("friction", friction) for friction in observe(now_ms, payload))
            yield ("touchpoint", payload) if kind == "touchpoint" else ("fact", payload)
            told += kind == "touchpoint"
        is_whole = self.end is not None and told != count
        yield from (("friction", found) for found in ledger.pass_time(self.end_ms if is_whole else now_ms))

    def touchpoints(self) -> Iterator[dict[str, Any]]:
        """What the sources emit, in order of occurrence, ready for the wire."""
        return (step.payload for step in self.steps() if step.kind == "touchpoint")

    def truth(self) -> Iterator[Friction]:
        """The frictions of the same life; needs an `end` to come to one."""
        return (payload for kind, payload in self.happenings() if kind == "friction")

    @property
    def end_ms(self) -> int:
        """The first moment that is no more told, in epoch milliseconds."""
        return to_epoch_ms(self.end) if self.end is not None else 2**62

    def _learn_links(self, count: int | None) -> dict[str, str]:
        if not self.anonymous_share or (self.end is None and count is None):
            return {}
        named = (step.payload["identifiers"] for step in self.steps(count) if step.kind == "touchpoint")
        return {
            each["anonymous_id"]: each["customer_id"] for each in named if {"anonymous_id", "customer_id"} <= set(each)
        }


class Run:
    """One telling of a shop's life; what the stories share."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.rng = Random(shop.seed)
        self.inside: set[str] = set()
        self.always_open = shop.always_open
        self.personal = shop.personal
        self._start_ms = to_epoch_ms(shop.start)
        self._end_ms = shop.end_ms
        # Ids of runs that differ in seed or start never meet in one database.
        self._prefix = blake2b(f"{shop.seed}|{self._start_ms}".encode(), digest_size=4).hexdigest()
        self._named = 0
        self._sequence = 0
        self._now_ms = 0
        self._known = shop.known_at_start
        self._heap: list[tuple[int, int, Step, Telling]] = []
        self._stories_per_ms = (shop.stories_per_day or shop.customers / DAYS_BETWEEN_STORIES) / DAY_MS

    @property
    def open_stories(self) -> int:
        """How many stories are under way: what memory grows with."""
        return len(self._heap)

    def name(self, letter: str) -> str:
        """An id that no run with another seed or start gives."""
        self._named += 1
        return f"{letter}-{self._prefix}-{self._named:x}"

    def begin(self, telling: Telling) -> None:
        """Let a story run; its first step must not lie in the past."""
        step = next(telling, None)
        if step is not None:
            self._put(step, telling)

    def _put(self, step: Step, telling: Telling) -> None:
        if step.at_ms < self._now_ms:
            raise AssertionError(f"a story began in the past: {step}")
        self._sequence += 1
        heapq.heappush(self._heap, (step.at_ms, self._sequence, step, telling))

    def _arrive(self) -> Telling:
        at_ms = self._start_ms
        while True:
            at_ms += int(self.rng.expovariate(self._rate(at_ms))) + 1
            yield Step(at_ms, "pause", None)
            self.begin(self._new_story(at_ms))

    def _rate(self, at_ms: int) -> float:
        surge = self.shop.surge
        if surge is not None and at_ms >= surge.from_ms:
            return surge.stories_per_second / 1000
        return self._stories_per_ms * (1.0 if self.always_open else activity(at_ms))

    def _new_story(self, at_ms: int) -> Telling:
        rng = self.rng
        tell = _TELLERS[bisect(_BOUNDS, rng.random() * _BOUNDS[-1])][1]
        known = rng.random() >= self.shop.anonymous_share
        story = Story(self, self._pick_customer(), at_ms, known)
        story.channel = "app" if rng.random() < 0.4 else None
        return tell(story)

    def _pick_customer(self) -> Persona:
        draw = self.rng.random()
        if self._known < self.shop.customers and (draw < _NEW_CUSTOMER_SHARE or self._known == 0):
            self._known += 1
            return make_persona(self._known - 1)
        # Some come far more often than others.
        return make_persona(int(self._known * self.rng.random() ** 1.5))

    def steps(self) -> Iterator[Step]:
        """See `Shop.steps`."""
        heap = self._heap
        self.begin(self._arrive())
        for at_ms, tell, number in self.shop.script:
            self.begin(tell(Story(self, make_persona(number), at_ms)))
        while heap and heap[0][0] < self._end_ms:
            at_ms, _, step, telling = heap[0]
            self._now_ms = at_ms
            self._advance(at_ms, telling)
            if step.kind != "pause":
                yield step

    def _advance(self, now_ms: int, telling: Telling) -> None:
        """Replace the first step of the heap by the next one of its story."""
        following = next(telling, None)
        if following is None:
            heapq.heappop(self._heap)
        elif following.at_ms < now_ms:
            raise AssertionError(f"a story went back in time: {following}")
        else:
            self._sequence += 1
            heapq.heapreplace(self._heap, (following.at_ms, self._sequence, following, telling))
