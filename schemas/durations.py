"""Durations as people write them: `90s`, `30m`, `12h`, `14d`, `2w`, or ISO 8601 (`P14D`)."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)\s*")


def parse_duration(value: Any) -> Any:
    """Turn `"1h30m"` into a timedelta; ISO 8601 is returned for pydantic to judge. Raises ValueError for all else."""
    if isinstance(value, timedelta):
        return value
    text = value if isinstance(value, str) else ""
    if text.startswith("P"):
        return text
    parts = list(_PART.finditer(text))
    if not parts or "".join(part.group(0) for part in parts) != text:
        raise ValueError(f"{value!r} is no duration: write it as 90s, 30m, 12h or 14d")
    return timedelta(seconds=sum(float(part.group(1)) * _UNIT_SECONDS[part.group(2)] for part in parts))


def _check_not_negative(duration: timedelta) -> timedelta:
    if duration < timedelta(0):
        raise ValueError("a duration cannot be negative")
    return duration


Duration = Annotated[timedelta, BeforeValidator(parse_duration), AfterValidator(_check_not_negative)]


def to_milliseconds(duration: timedelta) -> int:
    """Whole milliseconds of a duration, rounded down."""
    return duration // timedelta(milliseconds=1)
