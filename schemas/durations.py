"""Durations as people write them: `90s`, `30m`, `12h`, `14d`, `2w`, or ISO 8601 (`P14D`)."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator

_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)\s*")


def parse_duration(value: Any) -> Any:
    """Turn `"1h30m"` into a timedelta; anything that is not such a string is returned for pydantic to judge."""
    if not isinstance(value, str):
        return value
    parts = list(_PART.finditer(value))
    if not parts or "".join(part.group(0) for part in parts) != value:
        return value
    return timedelta(seconds=sum(float(part.group(1)) * _UNIT_SECONDS[part.group(2)] for part in parts))


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]


def to_milliseconds(duration: timedelta) -> int:
    """Whole milliseconds of a duration, rounded down."""
    return duration // timedelta(milliseconds=1)
