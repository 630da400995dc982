"""Alerts about sources that have gone silent. Pure: which are silent, what is open, and the time, to what changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from streams.rules.model import Rule, Templates, Texts
from streams.rules.primitives import Threshold
from streams.states import EpisodeState
from streams.touch import derive_id

SOURCE_SILENT = Rule(
    id="source_silent",
    version=1,
    severity="critical",
    title=Texts(en="A source has gone silent", he="מקור נתונים השתתק"),
    meaning=Texts(
        en="Nothing is known of what customers live there; rules that wait for it to say something hold back.",
        he="לא ידוע מה עובר על הלקוחות שם; כללים שמחכים לדיווח ממנו מושהים.",
    ),
    why="Silence is judged against the source's own rhythm at this hour of the week.",
    reason=Templates(
        en="{place} has said nothing for {actual}; by its own rhythm much more was to be expected",
        he="{place} לא דיווח כבר {actual}; לפי הקצב הרגיל שלו היה צפוי הרבה יותר",
    ),
    advice=Texts(
        en="Look at the feed of this source. What comes late is taken in, and only what is still true then is told.",
        he="בדקו את ערוץ הנתונים של המקור. מה שיגיע באיחור ייקלט, ורק מה שעדיין נכון אז ידווח.",
    ),
    # Never judged: its episodes come from the guard.
    threshold=Threshold(types=("page_viewed",)),
)


class SilentSource(NamedTuple):
    """An open alert about a source."""

    source: str
    since_ms: int


def episode_id_of(silence: SilentSource) -> str:
    """UUIDv5 of the source and since when it says nothing."""
    return derive_id("source", silence.source, str(silence.since_ms))


def judge_sources(
    silent: Mapping[str, int], open_alerts: frozenset[SilentSource], now_ms: int
) -> tuple[frozenset[SilentSource], list[EpisodeState]]:
    """What is open from now on, and the states that say what changed."""
    current = frozenset(SilentSource(source, since_ms) for source, since_ms in silent.items())
    # Who is silent still may turn out to have said something in between.
    kept = frozenset(alert for alert in open_alerts if alert.source in silent)
    news = frozenset(alert for alert in current if alert.source not in {each.source for each in kept})
    states = [_state(alert, now_ms, "open") for alert in sorted(news)]
    states += [_state(alert, now_ms, "resolved") for alert in sorted(open_alerts - kept)]
    return kept | news, states


def _state(silence: SilentSource, now_ms: int, status: str) -> EpisodeState:
    is_open = status == "open"
    return EpisodeState(
        episode_id=episode_id_of(silence),
        rule=SOURCE_SILENT.id,
        rule_version=SOURCE_SILENT.version,
        status="open" if is_open else "resolved",
        journey_id="00000000-0000-0000-0000-000000000000",
        subject=silence.source,
        store_id="",
        anchor_ms=silence.since_ms,
        opened_ms=now_ms if is_open else silence.since_ms,
        last_seen_ms=now_ms,
        resolved_ms=None if is_open else now_ms,
        threshold=0,
        actual=(now_ms - silence.since_ms) / 1000,
        unit="seconds",
        evidence=(),
        promised_ms=None,
        severity=SOURCE_SILENT.severity,
        kind="source",
        change="opened" if is_open else "resolved",
    )
