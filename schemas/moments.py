"""Moments in time: RFC 3339 with a zone on the wire, whole milliseconds since 1970 inside."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Any

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII)
_NAIVE = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def _no_zone() -> PydanticCustomError:
    return PydanticCustomError("naive_time", "time has no zone: write it as 2026-11-21T10:00:00.123Z or with +02:00")


def check_moment(value: Any) -> datetime:
    """RFC 3339 text or an aware datetime as a datetime; raises ValueError, saying what is wrong, for all else."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise _no_zone()
        return value
    if not isinstance(value, str):
        raise ValueError(f"time must be text such as 2026-11-21T10:00:00.123Z, not {type(value).__name__}")
    if RFC3339.fullmatch(value):
        return datetime.fromisoformat(value)
    if _NAIVE.fullmatch(value):
        raise _no_zone()
    raise ValueError("time must be written as 2026-11-21T10:00:00.123Z or with +02:00")


Moment = Annotated[datetime, BeforeValidator(check_moment)]


def to_epoch_ms(moment: datetime) -> int:
    """Milliseconds since 1970, UTC, rounded down (also before 1970)."""
    return (moment - _EPOCH) // _MILLISECOND


def from_epoch_ms(epoch_ms: int) -> datetime:
    """The aware UTC datetime of milliseconds since 1970. Raises OverflowError outside years 1 to 9999."""
    return _EPOCH + timedelta(milliseconds=epoch_ms)


def format_epoch_ms(epoch_ms: int) -> str:
    """`2026-11-21T10:00:00.123Z`. Raises OverflowError outside years 1 to 9999."""
    minutes, rest_ms = divmod(epoch_ms, 60_000)
    seconds, milliseconds = divmod(rest_ms, 1_000)
    # Dates are what is slow to write, and moments that are written together share them.
    return f"{_format_minute(minutes)}:{seconds:02}.{milliseconds:03}Z"


@lru_cache(maxsize=16_384)
def _format_minute(epoch_minutes: int) -> str:
    return (_EPOCH + timedelta(minutes=epoch_minutes)).isoformat(timespec="minutes").removesuffix("+00:00")
