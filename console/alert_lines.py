"""Friction alerts as they stand on the topic `friction-alerts`, and as lines for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from pydantic import ValidationError
from rich.text import Text

from console.cells import printable
from console.timeline import GOOD_ICONS, GOOD_STYLE, SEVERITY_STYLES
from schemas.episode import Episode

SEVERITY_MARKS = {"info": "·", "warning": "△", "critical": "▲"}


def parse_alert(value: bytes | None) -> Episode | None:
    """The episode of a record; None for a tombstone. Raises ValueError, one line, for anything else."""
    if value is None:
        return None
    try:
        return Episode.model_validate_json(value)
    except ValidationError as error:
        raise ValueError(f"a record of friction-alerts is no episode: {error.errors()[0]['msg']}") from error


def alert_line(episode: Episode, language: str = "en") -> str:
    """Time, severity, rule, customer and why: one line."""
    when = episode.opened_at[11:19]
    severity = f"{episode.severity:<8}"
    return f"{when}  {severity}  {episode.rule}  {_what(episode, language)}"


def style_alert(episode: Episode) -> Text:
    """A shorter line for narrow screens, in the colour of its severity; what is over is dim."""
    good = GOOD_ICONS.get(episode.kind)
    if good is not None:
        style, mark = GOOD_STYLE, good
    else:
        style = SEVERITY_STYLES.get(episode.severity, "") if episode.status == "open" else "dim"
        mark = SEVERITY_MARKS.get(episode.severity, " ")
    line = f"{episode.opened_at[11:19]} {mark} {episode.rule} {_what(episode, 'en')}"
    return Text(line, style=style, overflow="ellipsis", no_wrap=True)


def _what(episode: Episode, language: str) -> str:
    reason = printable(episode.reason.get(language) or episode.reason.get("en", ""))
    is_over = episode.status != "open" and episode.kind not in GOOD_ICONS
    status = f" [{episode.status}]" if is_over or episode.status == "withdrawn" else ""
    return f"{printable(episode.customer_id)}: {reason}{status}"


class AlertBook:
    """The newest state of each episode, in the order in which states came. Not thread-safe."""

    def __init__(self) -> None:
        self._newest: dict[str, Episode] = {}

    def add(self, episode: Episode) -> bool:
        """Take a state; an older one than is known changes nothing and returns False."""
        known = self._newest.get(episode.episode_id)
        if known is not None and known.version >= episode.version:
            return False
        self._newest.pop(episode.episode_id, None)
        self._newest[episode.episode_id] = episode
        return True

    def latest(self, count: int) -> list[Episode]:
        """The states that came last, the newest first."""
        return list(reversed(list(self._newest.values())[-count:])) if count > 0 else []

    def by_rule(self) -> dict[str, int]:
        """Episodes by rule, withdrawn ones not counted."""
        return count_rules(self._newest.values())


def count_rules(episodes: Iterable[Episode]) -> dict[str, int]:
    """Episodes by rule, by name, withdrawn ones not counted."""
    return dict(sorted(Counter(each.rule for each in episodes if each.status != "withdrawn").items()))
