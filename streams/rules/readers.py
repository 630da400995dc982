"""Readers: what rules compare of a touch, made ready once so that reading costs little. A missing value is None."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter

from streams.rules.patterns import FIELDS, Pattern, text_of
from streams.touch import Touch

TextReader = Callable[[Touch], str | None]
Key = tuple[str | None, ...]
BOTH = "store_id"
"""Some types say it in the envelope, some among the properties."""


def read_text(name: str) -> TextReader:
    """Reads one value as text: the same as `patterns.text_of`."""
    if name in FIELDS and name != BOTH:
        get = attrgetter(name)
        return lambda touch: get(touch) or None
    if name == BOTH:
        return lambda touch: text_of(touch, BOTH)

    def read(touch: Touch) -> str | None:
        details = touch.details
        found = details.get(name) if details else None
        return found if type(found) is str and found else text_of(touch, name)

    return read


def read_key(names: Sequence[str]) -> Callable[[Touch], Key]:
    """Reads several values."""
    readers = [read_text(name) for name in names]
    if len(readers) == 1:
        only = readers[0]
        return lambda touch: (only(touch),)
    return lambda touch: tuple([read(touch) for read in readers])


def match(pattern: Pattern | None) -> Callable[[Touch], bool]:
    """Tells whether a touch is meant: the same as `Pattern.matches`; no pattern means none."""
    if pattern is None:
        return lambda touch: False
    types, channels, condition = frozenset(pattern.types), frozenset(pattern.channels), pattern.condition
    if condition is None and not channels:
        return lambda touch: touch.type in types
    if condition is None:
        return lambda touch: touch.type in types and touch.channel in channels
    holds = condition.holds
    if not channels:
        return lambda touch: touch.type in types and holds(touch)
    return lambda touch: touch.type in types and touch.channel in channels and holds(touch)
