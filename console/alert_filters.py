"""What `journeys alerts list` is asked for, as a condition on `analytics.alerts`. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from pydantic import TypeAdapter, ValidationError

from schemas.durations import Duration
from schemas.errors import Misconfigured
from schemas.moments import check_moment, format_epoch_ms, to_epoch_ms

OVER_AT_ONCE = "delight"
OPEN = ("open",)
STATED = ("open", "resolved")
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_PREFIX = re.compile(r"[0-9a-f-]{1,36}", re.ASCII)
_duration = TypeAdapter(Duration).validate_python


@dataclass(frozen=True)
class Filters:
    """Values that an alert must have one of; none: any. `since`: opened then or later."""

    rules: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    severities: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    customers: tuple[str, ...] = ()
    stores: tuple[str, ...] = ()
    since: datetime | None = None
    show_all: bool = False

    def expected_statuses(self) -> tuple[str, ...]:
        """Open ones where nothing else is said; of delight, which is over at once, also resolved ones."""
        if self.statuses or self.show_all:
            return self.statuses
        return STATED if OVER_AT_ONCE in self.kinds else OPEN

    def condition(self) -> tuple[str, dict[str, Any]]:
        """SQL that is true of the alerts that are meant, silenced or not, and its parameters."""
        named: dict[str, Sequence[str]] = {
            "rule": self.rules,
            "effective_status": self.expected_statuses(),
            "severity": self.severities,
            "kind": self.kinds,
            "customer_id": self.customers,
            "store_id": self.stores,
        }
        parts = [f"{column} IN %({column})s" for column, values in named.items() if values]
        asked: dict[str, Any] = {column: tuple(values) for column, values in named.items() if values}
        if self.since is not None:
            parts.append("opened_at >= parseDateTime64BestEffort(%(since)s, 3, 'UTC')")
            asked["since"] = format_epoch_ms(to_epoch_ms(self.since))
        return " AND ".join(parts) or "1", asked


def parse_span(text: str) -> timedelta:
    """A duration such as `2h`. Raises `Misconfigured`."""
    try:
        span = _duration(text)
    except (ValidationError, OverflowError) as error:
        raise Misconfigured(f"{text!r} is no duration: write it as 90s, 30m, 12h or 14d") from error
    if not span:
        raise Misconfigured(f"{text!r} is no time at all: write it as 90s, 30m, 12h or 14d")
    return span


def parse_since(text: str, now: datetime) -> datetime:
    """A moment: so long ago (`2h`), a day (`2026-11-21`, from its midnight UTC) or RFC 3339. Raises `Misconfigured`."""
    try:
        if _DATE.fullmatch(text):
            return datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)
        return check_moment(text) if "T" in text[4:] else now - parse_span(text)
    except (ValueError, OverflowError, Misconfigured) as error:
        raise Misconfigured(
            f"{text!r} is no moment: write it as 2h, 2026-11-21 or 2026-11-21T10:00:00Z with its zone"
        ) from error


def check_prefix(text: str) -> str:
    """The beginning of an id as ids are written. Raises `Misconfigured`."""
    prefix = text.strip().lower()
    if not _PREFIX.fullmatch(prefix):
        raise Misconfigured(f"{text!r} is no id of an alert: `journeys alerts list` shows them")
    return prefix


def pick_id(prefix: str, found: Iterable[str]) -> str:
    """The only id that begins so, or that is just this. Raises `Misconfigured` for none and for several."""
    ids = sorted(found)
    if prefix in ids:
        return prefix
    if not ids:
        raise Misconfigured(f"no alert has an id that begins with {prefix}: `journeys alerts list --all` shows them")
    if len(ids) > 1:
        shown = ", ".join(ids[:3]) + (", …" if len(ids) > 3 else "")
        raise Misconfigured(f"{prefix} is the beginning of {len(ids)} alerts' ids ({shown}): give more of it")
    return ids[0]
