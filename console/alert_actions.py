"""How actions add up: who has an alert in hand, what silences it, and whether an action says anything new. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from schemas.alert_action import MATCHERS, SILENCING, ActionName, AlertAction

RIVALS: Mapping[ActionName, tuple[ActionName, ...]] = {
    "ack": ("ack", "unack"),
    "unack": ("ack", "unack"),
    "assign": ("assign",),
    "note": ("note",),
    "resolve": ("resolve", "reopen"),
    "reopen": ("resolve", "reopen"),
    "silence": SILENCING,
    "unsilence": SILENCING,
}
"""Actions of which the latest counts alone."""
UNDOING: tuple[ActionName, ...] = ("unack", "reopen", "unsilence")
PERSONAL: tuple[ActionName, ...] = ("ack", "note")
"""Actions that say something else when somebody else does them."""


@dataclass(frozen=True)
class Standing:
    """What people made of one episode so far; empty or None where they did not."""

    acknowledged_by: str = ""
    acknowledged_at: datetime | None = None
    assigned_to: str = ""
    human_resolved_by: str = ""
    human_resolved_at: datetime | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Silence:
    """A silence and when it ended or will: as was said, or when it was lifted or said anew."""

    action: AlertAction
    ends_at: datetime

    def covers(self, moment: datetime) -> bool:
        """Whether it is in force then."""
        return self.action.acted_at <= moment < self.ends_at


def order_key(action: AlertAction) -> tuple[datetime, str]:
    """Actions in the order in which they count."""
    return action.acted_at, action.action_id


def fold(actions: Iterable[AlertAction]) -> Standing:
    """Where one episode stands after these actions on it, in any order."""
    found: dict[str, Any] = {}
    notes = []
    for action in sorted(actions, key=order_key):
        if action.note:
            notes.append(action.note)
        found.update(_effect(action))
    return Standing(**found, notes=tuple(notes))


def _effect(action: AlertAction) -> Mapping[str, Any]:
    match action.action:
        case "ack":
            return {"acknowledged_by": action.by, "acknowledged_at": action.acted_at}
        case "unack":
            return {"acknowledged_by": "", "acknowledged_at": None}
        case "assign":
            return {"assigned_to": action.assignee}
        case "resolve":
            return {"human_resolved_by": action.by, "human_resolved_at": action.acted_at}
        case "reopen":
            return {"human_resolved_by": "", "human_resolved_at": None}
    return {}


def effective_status(status: str, standing: Standing) -> str:
    """The machine's status, unless a person has resolved what it did not withdraw."""
    return "resolved" if standing.human_resolved_at is not None and status != "withdrawn" else status


def settle(former: Iterable[AlertAction], wanted: AlertAction) -> AlertAction | None:
    """The action that makes what is wanted so: an earlier one that still stands, or else `wanted` itself.

    `former` may hold actions on anything. None: there is nothing to undo.
    """
    last = max((each for each in former if _is_rival(each, wanted)), key=order_key, default=None)
    says_more = bool(wanted.note) and (last is None or wanted.note != last.note)
    if wanted.action == "silence" or says_more:
        return wanted
    undoes = wanted.action in UNDOING or (wanted.action == "assign" and not wanted.assignee)
    if last is None:
        return None if undoes else wanted
    if last.until is not None and last.until <= wanted.acted_at:
        return None
    return last if _says_the_same(last, wanted) else wanted


def _is_rival(former: AlertAction, wanted: AlertAction) -> bool:
    return (
        former.action in RIVALS[wanted.action]
        and former.episode_id == wanted.episode_id
        and former.matchers == wanted.matchers
    )


def _says_the_same(last: AlertAction, wanted: AlertAction) -> bool:
    is_same = last.action == wanted.action and last.assignee == wanted.assignee
    return is_same and (last.by == wanted.by or wanted.action not in PERSONAL)


def list_silences(actions: Iterable[AlertAction]) -> list[Silence]:
    """Every silence among these actions, oldest first. One with the same matchers takes the place of the one before."""
    found: dict[tuple[str | None, ...], list[AlertAction]] = {}
    for action in sorted(actions, key=order_key):
        if action.action in SILENCING:
            found.setdefault((action.episode_id, *action.matchers), []).append(action)
    silences = [silence for rivals in found.values() for silence in _stretch(rivals)]
    return sorted(silences, key=lambda silence: order_key(silence.action))


def _stretch(rivals: list[AlertAction]) -> Iterator[Silence]:
    for action, following in zip(rivals, [*rivals[1:], None], strict=True):
        if action.until is not None:
            yield Silence(action, action.until if following is None else min(action.until, following.acted_at))


def silencing(alert: Mapping[str, Any], silences: Iterable[Silence], now: datetime) -> list[Silence]:
    """Those that silence an alert, a row of `analytics.alerts`: in force now, or when it was resolved."""
    moments = [moment for moment in (now, alert["resolved_at"]) if moment is not None]
    return [
        silence
        for silence in silences
        if _matches(silence.action, alert) and any(silence.covers(moment) for moment in moments)
    ]


def _matches(action: AlertAction, alert: Mapping[str, Any]) -> bool:
    if action.episode_id is not None and action.episode_id != str(alert["episode_id"]):
        return False
    return all(value in ("", alert[name]) for name, value in zip(MATCHERS, action.matchers, strict=True))
