"""Which dead letters are meant, as a condition on `analytics.dead_letters`. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from console.alert_filters import parse_since
from schemas.dead_letter import REASONS, LetterId
from schemas.errors import Misconfigured
from schemas.hints import did_you_mean
from schemas.moments import format_epoch_ms, to_epoch_ms
from schemas.topics import TOPICS

OPEN, REPLAYED, REFUSED_AGAIN = "open", "replayed", "refused_again"
WAITING = (OPEN, REFUSED_AGAIN)
_HOLDING = """(topic, partition, offset) IN (
    SELECT topic, partition, offset FROM journeys.dead_letters WHERE {condition})"""


class Status(StrEnum):
    """What became of a letter, as it is said on the command line."""

    OPEN = "open"
    REPLAYED = "replayed"
    REFUSED_AGAIN = "refused-again"
    ALL = "all"


class Division(StrEnum):
    """By what letters are counted."""

    REASON = "reason"
    DAY = "day"
    TOPIC = "topic"


DIVISIONS = {Division.REASON: "reason", Division.DAY: "toString(toDate(refused_at))", Division.TOPIC: "topic"}


@dataclass(frozen=True)
class LetterFilters:
    """Values that a letter must have one of; none: any. It was refused from `since` on and before `until`."""

    reasons: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()
    statuses: tuple[str, ...] = WAITING
    ids: tuple[LetterId, ...] = ()
    key: str | None = None
    contains: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def condition(self) -> tuple[str, dict[str, Any]]:
        """SQL that is true of the letters that are meant, and its parameters."""
        named = {"reason": self.reasons, "topic": self.topics, "status": self.statuses}
        parts = [f"{column} IN %({column})s" for column, values in named.items() if values]
        asked: dict[str, Any] = {column: values for column, values in named.items() if values}
        if self.ids:
            parts.append("(topic, partition, offset) IN %(ids)s")
            asked["ids"] = [tuple(each) for each in self.ids]
        if self.key is not None:
            parts.append(_HOLDING.format(condition="key = %(key)s"))
            asked["key"] = self.key
        if self.contains is not None:
            held = _HOLDING.format(condition="position(raw, %(contains)s) > 0")
            parts.append(f"(position(detail, %(contains)s) > 0 OR {held})")
            asked["contains"] = self.contains
        for name, sign in (("since", ">="), ("until", "<")):
            moment = getattr(self, name)
            if moment is not None:
                parts.append(f"refused_at {sign} parseDateTime64BestEffort(%({name})s, 3, 'UTC')")
                asked[name] = format_epoch_ms(to_epoch_ms(moment))
        return " AND ".join(parts) or "1", asked


def make_filters(
    now: datetime,
    *,
    reasons: Iterable[str] = (),
    topics: Iterable[str] = (),
    status: Iterable[Status] = (),
    ids: Iterable[str] = (),
    key: str | None = None,
    contains: str | None = None,
    since: str | None = None,
    until: str | None = None,
) -> LetterFilters:
    """The filters that a command line states. Letters that are named are meant whatever their status.

    Raises `Misconfigured`.
    """
    letters = tuple(dict.fromkeys(parse_id(text) for text in ids))
    chosen = {each.value.replace("-", "_") for each in status}
    statuses = tuple(sorted(chosen)) or (() if letters else WAITING)
    return LetterFilters(
        reasons=tuple(check_reason(reason) for reason in reasons),
        topics=tuple(check_topic(topic) for topic in topics),
        statuses=() if Status.ALL in chosen else statuses,
        ids=letters,
        key=key,
        contains=contains,
        since=None if since is None else parse_since(since, now),
        until=None if until is None else parse_since(until, now),
    )


def parse_id(text: str) -> LetterId:
    """A letter's id. Raises `Misconfigured`."""
    try:
        return LetterId.parse(text.strip())
    except ValueError as error:
        raise Misconfigured(f"{error}, such as touchpoints-0-42: `journeys dead-letters list` shows them") from error


def check_reason(name: str) -> str:
    """A reason code. Raises `Misconfigured`."""
    if name not in REASONS:
        hint = did_you_mean(name, REASONS) or f"known are {', '.join(REASONS)}"
        raise Misconfigured(f"there is no reason {name!r}: {hint}")
    return name


def check_topic(name: str) -> str:
    """A topic of the platform. Raises `Misconfigured`."""
    known = [topic.name for topic in TOPICS]
    if name not in known:
        hint = did_you_mean(name, known)
        raise Misconfigured(f"there is no topic {name!r}: {hint + ' ' if hint else ''}known are {', '.join(known)}")
    return name
