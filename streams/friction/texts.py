"""Words for an episode: why it is one, and the smallest change that would have kept it silent. English and Hebrew."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, NamedTuple

from schemas.moments import format_epoch_ms
from streams.rules.model import Rule
from streams.states import EpisodeState

Language = Literal["en", "he"]
LANGUAGES: tuple[Language, ...] = ("en", "he")


class _Unit(NamedTuple):
    seconds: float
    english: str
    hebrew: str
    one: str
    two: str


_UNITS = (
    _Unit(86_400, "d", "ימים", "יום אחד", "יומיים"),
    _Unit(3_600, "h", "שעות", "שעה אחת", "שעתיים"),
    _Unit(60, "min", "דקות", "דקה אחת", "שתי דקות"),
    _Unit(1, "s", "שניות", "שנייה אחת", "שתי שניות"),
)


@lru_cache(maxsize=65_536)
def format_duration(seconds: float, language: Language) -> str:
    """A duration in its largest fitting unit, one decimal at most: `12.5 min`, `12.5 דקות`."""
    unit = next((each for each in _UNITS if seconds >= each.seconds), _UNITS[-1])
    number = f"{seconds / unit.seconds:.1f}".removesuffix(".0")
    if language == "en":
        return f"{number} {unit.english}"
    # Hebrew has words of its own for one and for two of a thing.
    return {"1": unit.one, "2": unit.two}.get(number, f"{number} {unit.hebrew}")


_GROWING = ("wait", "deadline")
_AT_LEAST: dict[Language, str] = {"en": "at least ", "he": "לפחות "}
_JUST_LATE: dict[Language, str] = {"en": "less than 1 h", "he": "פחות משעה"}


def format_amount(amount: float, unit: str, language: Language) -> str:
    """A duration where the unit is seconds, else the number."""
    return format_duration(amount, language) if unit == "seconds" else f"{amount:g}"


def _still(state: EpisodeState) -> dict[Language, str]:
    if state.resolved_ms is not None or state.kind != "friction":
        return {"en": "", "he": ""}
    if state.promised_ms is not None:
        return {"en": ", and still owed", "he": ", וטרם קוים"}
    return {"en": "still waiting: ", "he": "עדיין: "}


class Wording(NamedTuple):
    """Everything that is said of one state of an episode, and not of its rule."""

    reason: dict[str, str]
    silent_if: dict[str, str]


def word(rule: Rule, state: EpisodeState) -> Wording:
    """The words for one state."""
    return Wording({each: render_reason(rule, state, each) for each in LANGUAGES}, render_silent_if(rule, state))


def render_reason(rule: Rule, state: EpisodeState, language: Language) -> str:
    """Why an episode is one: the rule's template filled in, see `streams.rules.model.PLACEHOLDERS`."""
    still = _still(state)
    template: str = getattr(rule.reason, language)
    return template.format(
        actual=_render_actual(rule, state, language),
        threshold=format_amount(state.threshold, state.unit, language),
        window=format_duration(rule.window_seconds, language),
        place=state.subject,
        promised=format_epoch_ms(state.promised_ms) if state.promised_ms is not None else "",
        still_en=still["en"],
        still_he=still["he"],
    )


def _render_actual(rule: Rule, state: EpisodeState, language: Language) -> str:
    amount = format_amount(state.actual, state.unit, language)
    if state.resolved_ms is not None or rule.primitive_name not in _GROWING:
        return amount
    if state.promised_ms is not None and not state.actual:
        return _JUST_LATE[language]
    # What grows while nothing happens is told in doubling steps.
    return _AT_LEAST[language] + amount


def render_silent_if(rule: Rule, state: EpisodeState) -> dict[str, str]:
    """The smallest change that would have kept a friction silent; empty texts for what is no friction."""
    if state.kind != "friction":
        return {"en": "", "he": ""}
    if state.limit_ms is not None:
        return _in_time(rule, state.limit_ms)
    match rule.primitive_name:
        case "repeat":
            return {
                "en": f"had there been at most {state.threshold:g} of these within {_window(rule, 'en')}",
                "he": f"אילו היו לכל היותר {state.threshold:g} כאלה בתוך {_window(rule, 'he')}",
            }
        case "mismatch":
            return {
                "en": "had the first source said the same as the second",
                "he": "אילו המקור הראשון היה אומר את מה שאמר השני",
            }
        case "threshold":
            return {"en": f"had it stayed below {state.threshold:g}", "he": f"אילו נשאר מתחת ל-{state.threshold:g}"}
        case _:
            return {
                "en": f"had it not followed within {_window(rule, 'en')}",
                "he": f"אילו לא בא בתוך {_window(rule, 'he')}",
            }


def _window(rule: Rule, language: Language) -> str:
    return format_duration(rule.window_seconds, language)


def _in_time(rule: Rule, limit_ms: int) -> dict[str, str]:
    moment = format_epoch_ms(limit_ms)
    if rule.wait is not None:
        return {"en": f"had the wait ended by {moment}", "he": f"אילו ההמתנה הסתיימה עד {moment}"}
    if rule.deadline is not None and rule.deadline.when == "lapsed":
        return {
            "en": f"had the customer been reminded, or come for it, by {moment}",
            "he": f"אילו הלקוח קיבל תזכורת, או הגיע, עד {moment}",
        }
    if rule.deadline is not None:
        return {"en": f"had the promise been kept by {moment}", "he": f"אילו ההבטחה קוימה עד {moment}"}
    awaited = ", ".join(dict.fromkeys(rule.primitive.awaited))
    return {"en": f"had any of {awaited} come by {moment}", "he": f"אילו אחד מאלה היה מגיע עד {moment}: {awaited}"}
