"""Which times a worker takes: the same judgement at the sender's own door, where somebody can still mend it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from schemas.errors import Undecodable
from schemas.fact import Fact
from schemas.moments import to_epoch_ms
from schemas.settings import Settings
from schemas.touchpoint import Touchpoint
from schemas.wire import check_time


@dataclass(frozen=True)
class TimeBounds:
    """How old a touchpoint may be (None: since 1970, for history), how far ahead, and which clock skew is left alone.

    They are the worker's settings `oldest_touchpoint`, `furthest_ahead` and `clock_skew_bound`.
    """

    oldest: timedelta | None
    furthest_ahead: timedelta
    clock_skew_bound: timedelta

    @classmethod
    def of(cls, settings: Settings, *, history: bool = False) -> TimeBounds:
        """What the settings say; for history nothing is too old."""
        oldest = None if history else settings.oldest_touchpoint
        return cls(oldest, settings.furthest_ahead, settings.clock_skew_bound)

    def check(self, touchpoint: Touchpoint | Fact, now_ms: int) -> None:
        """Raise `Undecodable` with the worker's reason if it would refuse the time of what is received now."""
        oldest_ms = None if self.oldest is None else self.oldest // _MILLISECOND
        ahead_ms = self.furthest_ahead // _MILLISECOND
        reason = check_time(self._corrected_ms(touchpoint, now_ms), now_ms, oldest_ms, ahead_ms)
        if reason is not None:
            raise Undecodable(reason, f"occurred_at is {touchpoint.occurred_at.isoformat()}: {self._say(reason)}")

    def _corrected_ms(self, touchpoint: Touchpoint | Fact, now_ms: int) -> int:
        """When it happened by the worker's clock, which corrects a sender's clock that is off."""
        occurred_ms = to_epoch_ms(touchpoint.occurred_at)
        if touchpoint.sent_at is None:
            return occurred_ms
        received_ms = to_epoch_ms(touchpoint.received_at) if touchpoint.received_at else now_ms
        skew_ms = received_ms - to_epoch_ms(touchpoint.sent_at)
        return occurred_ms + skew_ms if abs(skew_ms) > self.clock_skew_bound // _MILLISECOND else occurred_ms

    def _say(self, reason: str) -> str:
        if reason == "too_far_ahead":
            return f"more than {_in_words(self.furthest_ahead)} ahead of now (JOURNEYS_FURTHEST_AHEAD)"
        if self.oldest is None:
            return "before 1970"
        return f"more than {_in_words(self.oldest)} ago (JOURNEYS_OLDEST_TOUCHPOINT)"


_MILLISECOND = timedelta(milliseconds=1)
_UNITS = (("day", timedelta(days=1)), ("hour", timedelta(hours=1)), ("minute", timedelta(minutes=1)))


def _in_words(duration: timedelta) -> str:
    """The duration in the largest unit of which it is a whole number: `365 days`, `90 minutes`, `1.5 seconds`."""
    for name, unit in _UNITS:
        count, rest = divmod(duration, unit)
        if count and not rest:
            return f"{count:,} {name}{'s' if count != 1 else ''}"
    return f"{duration.total_seconds():g} seconds"
