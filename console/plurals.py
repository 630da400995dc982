"""How many there are of something, in words."""

from __future__ import annotations


def counted(count: int, one: str, many: str = "") -> str:
    """`1 touchpoint`, `1,204 touchpoints`; `many` is for words that do not just get an s."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"
