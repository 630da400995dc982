"""How many there are of something, in words."""

from __future__ import annotations

from collections.abc import Sequence

SHOWN = 5


def counted(count: int, one: str, many: str = "") -> str:
    """`1 touchpoint`, `1,204 touchpoints`; `many` is for words that do not just get an s."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def shorten(names: Sequence[str], more: str = "more") -> str:
    """The first names, and how many `more` there are."""
    rest = f" and {len(names) - SHOWN:,} {more}" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{rest}"
