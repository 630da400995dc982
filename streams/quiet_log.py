"""A log that stays readable while a broker is away: what a library says again and again is said once in a while."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

PAUSE_SECONDS = 10.0
TALKATIVE = ("aiokafka", "faust", "mode", "kafka")


class RepeatFilter(logging.Filter):
    """Lets through what one place in a talkative library says once in `pause_seconds`, with how much was left out."""

    def __init__(self, pause_seconds: float = PAUSE_SECONDS, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._pause_seconds = pause_seconds
        self._now = now
        self._said: dict[tuple[str, int], float] = {}
        self._left_out: dict[tuple[str, int], int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to write it. Grave ones always are."""
        if record.levelno >= logging.CRITICAL or not record.name.startswith(TALKATIVE):
            return True
        place, moment = (record.pathname, record.lineno), self._now()
        if moment - self._said.get(place, -self._pause_seconds) < self._pause_seconds:
            self._left_out[place] = self._left_out.get(place, 0) + 1
            return False
        self._said[place] = moment
        left_out = self._left_out.pop(place, 0)
        if left_out:
            record.msg = f"{record.getMessage()} (and {left_out} more like it)"
            # Not None: the formatter of Faust's log makes an argument of that.
            record.args = ()
        return True


def quieten_log() -> None:
    """Put the filter before whatever writes the log now."""
    quiet = RepeatFilter()
    for handler in logging.getLogger().handlers:
        handler.addFilter(quiet)
