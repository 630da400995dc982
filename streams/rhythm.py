"""The source guard: is a source as quiet as it always is at this hour, or has its feed broken?

A source is silent when so many touchpoints would have been expected since it last said something that their absence is
no chance. With independent touchpoints (Poisson), nothing at all comes with probability exp(-expected): at 30 expected
that is 1e-13. The margin is not for chance but for what the estimate cannot know: a slow day, touchpoints that come in
bursts.

What is expected in an hour is the mean of the same hour of the week in the four weeks before, each week weighing half
as much as the one after it. Until a source has been heard for a week, it is the least that the same hour of the day
had, as long as that is more than nothing without a break since the last touchpoint: nobody knows yet that there are
weekends, and a source that is quiet after a night may be closed. The rhythm may be shifted by an hour to either side,
and once in a silence change from one shift to another, whatever expects least: clocks are changed twice a year, and a
door opens late. A silence of weeks is forgotten with the rhythm; of a source with less than some 50 touchpoints a week
nothing can be said, and a holiday is a silence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from schemas.fact import Fact, check_fact, encode_fact, fact_key
from schemas.moments import format_epoch_ms, to_epoch_ms
from schemas.properties import SourceHeartbeat
from streams.touch import Touch

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
WEEK_HOURS = 168
WEEKS = 4
"""How many weeks make the rhythm."""
FORGETTING = 0.5
"""What a week counts against the one after it."""
KEPT_HOURS = (WEEKS + 2) * WEEK_HOURS
DAY_HOURS = 24
STATED_EVERY_HOURS = 6
JUDGED_EVERY_MS = 5_000

_WEIGHTS = [FORGETTING**week for week in range(1, WEEKS + 1)]
_SHIFTS = (-1, 0, 1)
_Hours = dict[int, int]
"""Touchpoints by hour, counted from 1970."""


@dataclass(frozen=True)
class SilenceSettings:
    """When quiet is silence: at least `shortest_ms` long, and at least `expected_missing` touchpoints did not come.

    What came more than `live_within_ms` after it happened is history: it shows the rhythm, but not that a feed lives.
    """

    expected_missing: float = 30.0
    shortest_ms: int = 600_000
    live_within_ms: int = 86_400_000


class SourceRhythm:
    """How many touchpoints of one source there were, by partition and hour.

    Each number only grows, and of two reports of one number the greater is right: so reports may come in any order and
    repeatedly. What was counted here and what others have stated is kept apart, and the greater counts: whoever takes a
    partition over and reads some of it again counts nothing twice.
    """

    def __init__(self) -> None:
        self.totals: _Hours = {}
        self._counted: dict[int, _Hours] = {}
        self._stated: dict[int, _Hours] = {}
        self._first_hour = 2**62
        self._forgotten_hour = 0

    def count(self, partition: int, hour: int, number: int) -> None:
        """So many more touchpoints of an hour were read from a partition here."""
        hours = self._counted.setdefault(partition, {})
        self._raise(partition, hour, hours, hours.get(hour, 0) + number)

    def learn(self, partition: int, first_hour: int, counts: Sequence[int]) -> None:
        """Whoever owned the partition counted so many in each hour from `first_hour` on."""
        hours = self._stated.setdefault(partition, {})
        for hour, number in enumerate(counts, first_hour):
            if number > hours.get(hour, 0):
                self._raise(partition, hour, hours, number)

    def known(self, partition: int, hours: Iterable[int]) -> list[int]:
        """What is known of these hours of one partition."""
        counted, stated = self._counted.get(partition, {}), self._stated.get(partition, {})
        return [max(counted.get(hour, 0), stated.get(hour, 0)) for hour in hours]

    def expected(self, since_ms: int, until_ms: int) -> float:
        """How many touchpoints the rhythm promises for this time; of more than a week, for its last week."""
        straight = turned = [0.0] * len(_SHIFTS)
        for promised in self._promised(max(since_ms, until_ms - WEEK_HOURS * HOUR_MS), until_ms):
            turned = [min(least, *straight) + more for least, more in zip(turned, promised, strict=True)]
            straight = [sum_ + more for sum_, more in zip(straight, promised, strict=True)]
        return min(turned)

    def _promised(self, since_ms: int, until_ms: int) -> Iterator[list[float]]:
        """Of each hour, or of what part of it lies in this time, what the rhythm promises under each shift."""
        is_unbroken = [True] * len(_SHIFTS)
        for hour in range(since_ms // HOUR_MS, until_ms // HOUR_MS + 1):
            share = (min(until_ms, (hour + 1) * HOUR_MS) - max(since_ms, hour * HOUR_MS)) / HOUR_MS
            promised = [self._usual_by_week(hour + shift) for shift in _SHIFTS]
            for at, shift in enumerate(_SHIFTS):
                if promised[at] is None:
                    least = self._least_by_day(hour + shift)
                    is_unbroken[at] = is_unbroken[at] and least > 0
                    promised[at] = least if is_unbroken[at] else 0.0
            yield [share * (usual or 0.0) for usual in promised]

    def _usual_by_week(self, hour: int) -> float | None:
        """None when the source was not heard a week before; its first hour, heard in part, does not count."""
        counts = [
            self.totals.get(before, 0)
            for before in range(hour - WEEK_HOURS, hour - WEEKS * WEEK_HOURS - 1, -WEEK_HOURS)
            if before > self._first_hour
        ]
        if not counts:
            return None
        return sum(map(float.__mul__, _WEIGHTS, map(float, counts))) / sum(_WEIGHTS[: len(counts)])

    def _least_by_day(self, hour: int) -> float:
        days = [before for before in range(hour - 24, hour - WEEK_HOURS, -24) if before > self._first_hour]
        return float(min((self.totals.get(before, 0) for before in days), default=0))

    def _raise(self, partition: int, hour: int, hours: _Hours, number: int) -> None:
        self._first_hour = min(self._first_hour, hour)
        if hour < self._forgotten_hour:
            return
        (before,) = self.known(partition, (hour,))
        hours[hour] = number
        if number > before:
            self.totals[hour] = self.totals.get(hour, 0) + number - before
        if hour >= self._forgotten_hour + KEPT_HOURS + WEEK_HOURS:
            self._forget(hour - KEPT_HOURS)

    def _forget(self, oldest_hour: int) -> None:
        self._forgotten_hour = oldest_hour
        for hours in (self.totals, *self._counted.values(), *self._stated.values()):
            for hour in [hour for hour in hours if hour < oldest_hour]:
                del hours[hour]


def judge_silence(
    rhythms: Mapping[str, SourceRhythm], last_seen_ms: Mapping[str, int], now_ms: int, settings: SilenceSettings
) -> dict[str, int]:
    """The sources that are silent, and since when: the time at which each last said something."""
    return {
        source: seen_ms
        for source, seen_ms in last_seen_ms.items()
        if now_ms - seen_ms >= settings.shortest_ms
        and source in rhythms
        and rhythms[source].expected(seen_ms, now_ms) >= settings.expected_missing
    }


class Guard:
    """What one worker knows of the sources: from the touchpoints that it reads, and from what is stated on `facts`.

    `statements` are the worker's own facts for that topic: when a source was last heard, unless another worker has said
    so lately, and four times a day what was counted, a day of one partition at a time. Whoever dies between two of them
    takes the counts of some hours with it; too low an expectation makes the guard slower, never rash.
    """

    def __init__(self, settings: SilenceSettings = SilenceSettings()) -> None:
        self._settings = settings
        self._rhythms: dict[str, SourceRhythm] = {}
        self._heard_ms: dict[str, int] = {}
        self._told_ms: dict[str, int] = {}
        self._untold: set[tuple[str, int, int]] = set()
        self._told_turn: int | None = None
        self._silent: dict[str, int] = {}
        self._judged_ms = -JUDGED_EVERY_MS

    def feed(self, partition: int, touches: Sequence[Touch]) -> None:
        """Count a chunk's touchpoints, to the minute. Call it once for each chunk of topic `touchpoints`."""
        minutes = [touch.occurred_ms // MINUTE_MS for touch in touches]
        if not minutes:
            return
        sources = [touch.source for touch in touches]
        if min(minutes) == max(minutes):
            counted = Counter({(source, minutes[0]): number for source, number in Counter(sources).items()})
        else:
            counted = Counter(zip(sources, minutes, strict=True))
        hours: Counter[tuple[str, int]] = Counter()
        for (source, minute), number in counted.items():
            hours[source, minute * MINUTE_MS // HOUR_MS] += number
        heard_ms, live_within_ms = self._heard_ms, self._settings.live_within_ms
        for source, minute, touch in zip(sources, minutes, touches, strict=True):
            is_later = minute * MINUTE_MS > heard_ms.get(source, 0)
            if is_later and touch.received_ms - touch.occurred_ms <= live_within_ms:
                heard_ms[source] = minute * MINUTE_MS
        for (source, hour), number in hours.items():
            self._rhythm(source).count(partition, hour, number)
            self._untold.add((source, partition, hour // DAY_HOURS))

    def take(self, fact: Fact) -> None:
        """Learn from a `source_heartbeat`, the source's own or a worker's, this one's too; other facts say nothing."""
        stated = fact.properties
        if not isinstance(stated, SourceHeartbeat):
            return
        if stated.counted_from is not None and stated.partition is not None:
            first_hour = to_epoch_ms(stated.counted_from) // HOUR_MS
            # Nothing can be known of hours that had not come yet.
            past = (stated.counts or [])[: max(0, fact.occurred_ms // HOUR_MS + 1 - first_hour)]
            self._rhythm(fact.source).learn(stated.partition, first_hour, past)
            return
        last_ms = fact.occurred_ms if stated.last_said is None else to_epoch_ms(stated.last_said)
        self._told_ms[fact.source] = max(self._told_ms.get(fact.source, 0), min(last_ms, fact.occurred_ms))

    @property
    def last_seen_ms(self) -> dict[str, int]:
        """When each source last said something, as far as is known here."""
        heard, told = self._heard_ms, self._told_ms
        return {source: max(heard.get(source, 0), told.get(source, 0)) for source in heard.keys() | told.keys()}

    def silent(self, now_ms: int) -> dict[str, int]:
        """The sources that are silent, and since when; see `judge_silence`.

        Judged anew every five seconds, but a source that has said something since is silent no more.
        """
        last_seen_ms = self.last_seen_ms
        if not 0 <= now_ms - self._judged_ms < JUDGED_EVERY_MS:
            self._judged_ms = now_ms
            self._silent = judge_silence(self._rhythms, last_seen_ms, now_ms, self._settings)
        return {source: since_ms for source, since_ms in self._silent.items() if last_seen_ms[source] == since_ms}

    def missing(self, source: str, now_ms: int) -> float:
        """How many touchpoints of a source should have come since it last said something."""
        seen_ms, rhythm = self.last_seen_ms.get(source), self._rhythms.get(source)
        return 0.0 if seen_ms is None or rhythm is None else rhythm.expected(seen_ms, now_ms)

    def statements(self, now_ms: int, *, closing: bool = False) -> list[tuple[bytes, bytes]]:
        """Keys and values for topic `facts` of what others should know by now, each of them once; all, when `closing`.

        Cheap when nothing is due; call it every few seconds, and before partitions are given up.
        """
        found = [*self._state_life(now_ms), *self._state_counts(now_ms, closing)]
        return [(fact_key(check_fact(fact)), encode_fact(fact)) for fact in found]

    def _state_life(self, now_ms: int) -> Iterator[dict[str, Any]]:
        for source, heard_ms in self._heard_ms.items():
            if heard_ms - self._told_ms.get(source, 0) >= self._settings.shortest_ms // 2:
                self._told_ms[source] = heard_ms
                yield _heartbeat(source, "heard", now_ms, {"last_said": format_epoch_ms(heard_ms)})

    def _state_counts(self, now_ms: int, closing: bool) -> Iterator[dict[str, Any]]:
        now_hour = now_ms // HOUR_MS
        turn = now_hour // STATED_EVERY_HOURS
        if self._told_turn is None:
            self._told_turn = turn
        if turn == self._told_turn and not closing:
            return
        self._told_turn = turn
        for source, partition, day in sorted(self._untold):
            hours = range(day * DAY_HOURS, min((day + 1) * DAY_HOURS, now_hour + 1))
            counted_from, counts = format_epoch_ms(hours.start * HOUR_MS), self._rhythm(source).known(partition, hours)
            if any(counts):
                stated = {"partition": partition, "counted_from": counted_from, "counts": counts}
                yield _heartbeat(source, f"counted-{partition}-{day}", now_ms, stated)
        self._untold.clear()

    def _rhythm(self, source: str) -> SourceRhythm:
        rhythm = self._rhythms.get(source)
        if rhythm is None:
            rhythm = self._rhythms[source] = SourceRhythm()
        return rhythm


def _heartbeat(source: str, name: str, now_ms: int, stated: dict[str, Any]) -> dict[str, Any]:
    return {
        "event_id": f"{name}-{now_ms}",
        "source": source,
        "type": "source_heartbeat",
        "occurred_at": format_epoch_ms(now_ms),
        "properties": stated,
    }
