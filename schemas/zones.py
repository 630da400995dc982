"""Time zones by their IANA names."""

from __future__ import annotations

from datetime import UTC, tzinfo
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator


def read_zone(name: str) -> tzinfo:
    """The time zone of that IANA name. Raises ValueError when this machine does not know it."""
    try:
        return UTC if name == "UTC" else ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is no time zone that is known here: write it as Asia/Jerusalem") from error


def _check_zone(name: str) -> str:
    read_zone(name)
    return name


Zone = Annotated[str, AfterValidator(_check_zone)]
