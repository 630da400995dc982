"""Reasons in words: a rule's templates filled with what was found, in English and Hebrew."""

from __future__ import annotations

from typing import Literal

from schemas.moments import format_epoch_ms
from streams.rules.model import Rule
from streams.states import EpisodeState

Language = Literal["en", "he"]

_UNITS: tuple[tuple[float, str, str], ...] = (
    (86_400, "d", "ימים"),
    (3_600, "h", "שעות"),
    (60, "min", "דקות"),
    (1, "s", "שניות"),
)


def format_duration(seconds: float, language: Language) -> str:
    """A duration in its largest fitting unit, one decimal at most: `12.5 min`, `12.5 דקות`."""
    for size, english, hebrew in _UNITS:
        if seconds >= size or size == 1:
            number = f"{seconds / size:.1f}".removesuffix(".0")
            return f"{number} {english if language == 'en' else hebrew}"
    raise AssertionError("the smallest unit fits everything")


_JUST_LATE: dict[Language, str] = {"en": "less than 1 h", "he": "פחות משעה"}


def _amounts(rule: Rule, state: EpisodeState, language: Language) -> tuple[str, str]:
    if state.promised_ms is not None and state.resolved_ms is None and not state.actual:
        return _JUST_LATE[language], ""
    if state.unit == "seconds":
        return format_duration(state.actual, language), format_duration(state.threshold, language)
    window = rule.repeat.within.total_seconds() if rule.repeat else 0
    return f"{state.actual:.0f}", format_duration(window, language)


def _still(state: EpisodeState) -> dict[Language, str]:
    if state.resolved_ms is not None:
        return {"en": "", "he": ""}
    if state.promised_ms is not None:
        return {"en": ", and still owed", "he": ", וטרם קוים"}
    return {"en": "still waiting: ", "he": "עדיין: "}


def render_reason(rule: Rule, state: EpisodeState, language: Language) -> str:
    """Why an episode is one. Templates may use {actual}, {threshold}, {place}, {promised}, {still_en}, {still_he}."""
    actual, threshold = _amounts(rule, state, language)
    still = _still(state)
    template: str = getattr(rule.reason, language)
    return template.format(
        actual=actual,
        threshold=threshold,
        place=state.subject,
        promised=format_epoch_ms(state.promised_ms) if state.promised_ms is not None else "",
        still_en=still["en"],
        still_he=still["he"],
    )
