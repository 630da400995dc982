"""The episodes of one customer: what was found, what was said of it last, and what has changed since. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from schemas.episode import Change, WithdrawnBecause
from streams.friction import Circumstances, Finding, History, Plan, Watch
from streams.promises import Restocks
from streams.rules.model import SEVERITIES
from streams.states import EpisodeState
from streams.stitching import Stitcher
from streams.touch import Touch


class Context(NamedTuple):
    """What is known besides a customer's own touches: restocks, and since when which sources are silent."""

    restocks: Restocks | None = None
    silent: Mapping[str, int] = {}


NO_CONTEXT = Context()


class EpisodeBook:
    """`states` by episode id, `changes` since they were last taken. `orphaned_ids`: rows to be taken back.

    `told_ids`: episodes that were told and forgotten here. `silent_ids`: among the changes, those of them that are
    over; they are just written again.
    """

    __slots__ = (
        "_has_moved",
        "_is_unread",
        "_key",
        "because",
        "changes",
        "orphaned_ids",
        "silent_ids",
        "states",
        "told_ids",
        "watch",
    )

    def __init__(self, plan: Plan, key: str) -> None:
        self._key = key
        self.watch = Watch(plan, key)
        self.states: dict[str, EpisodeState] = {}
        self.changes: list[EpisodeState] = []
        self.orphaned_ids: set[str] = set()
        self.told_ids: set[str] = set()
        self.silent_ids: set[str] = set()
        self.because: WithdrawnBecause = "late_data"
        self._has_moved = False
        self._is_unread = False

    def follow_journeys(self) -> None:
        """Journeys have been stitched anew: episodes may be in others now."""
        self._has_moved = True

    def begin_anew(self, plan: Plan, because: WithdrawnBecause, *, is_empty: bool = False) -> None:
        """Look at all touches again, by these rules. `is_empty`: there are none, so nothing is looked at."""
        self.watch = Watch(plan, self._key)
        if not is_empty:
            self.watch.upset(plan.routes)
        self.because = because
        self._is_unread = True

    def restore(self, states: Iterable[EpisodeState]) -> None:
        """Take what was stored; what it says is compared with what is found at the next review."""
        self.states = {state.episode_id: state for state in states}

    def review(self, stitcher: Stitcher, order: Sequence[Touch], now_ms: int, context: Context) -> bool:
        """Find out what changed; returns whether anything did. The journeys concerned are marked dirty."""
        promises = stitcher.book.promises
        if not (self._is_unread or self._has_moved or self.watch.needs_review(now_ms, bool(promises))):
            return False
        history = History(order, stitcher.signals, promises)
        found = self.watch.review(history, Circumstances(now_ms, context.silent, self.states))
        if self._is_unread:
            self._is_unread = False
            found.update({each: None for each in self.states if each not in self.watch.shown})
        if self._has_moved:
            self._has_moved = False
            found = {**self.watch.shown, **found}
        count = len(self.changes)
        for episode_id, finding in found.items():
            if finding is not None:
                self._publish(self._state_of(episode_id, finding, stitcher), stitcher)
            elif (state := self.states.get(episode_id)) is not None and state.status != "withdrawn":
                gone = msgspec.structs.replace(state, status="withdrawn", withdrawn_because=self.because)
                self._publish(gone, stitcher)
        self.because = "late_data"
        return len(self.changes) > count

    def _publish(self, state: EpisodeState, stitcher: Stitcher) -> None:
        former = self.states.get(state.episode_id)
        change = _change_of(former, state)
        if change is None:
            return
        if former is None and state.status == "resolved" and state.episode_id in self.told_ids:
            self.silent_ids.add(state.episode_id)
        self.states[state.episode_id] = state = msgspec.structs.replace(state, change=change)
        self.changes.append(state)
        journey = stitcher.journey_at(state.anchor_ms)
        if journey is not None:
            journey.is_dirty = True

    def _state_of(self, episode_id: str, finding: Finding, stitcher: Stitcher) -> EpisodeState:
        anchor = finding.anchor
        journey = stitcher.journey_at(anchor.occurred_ms)
        assert journey is not None, "a finding's anchor is one of the stitched touches"
        return EpisodeState(
            episode_id,
            finding.rule.id,
            finding.rule.version,
            "open" if finding.resolved_ms is None else "resolved",
            journey.journey_id(self._key),
            finding.subject,
            next((touch.store_id for touch in finding.evidence if touch.store_id), ""),
            anchor.occurred_ms,
            finding.opened_ms,
            finding.last_seen_ms,
            finding.resolved_ms,
            finding.threshold,
            finding.actual,
            finding.unit,
            finding.references(),
            finding.promised_ms,
            finding.severity,
            finding.limit_ms,
            "",
            finding.rule.kind,
        )

    def adopt_orphans(self, episode_ids: Iterable[str]) -> None:
        """Take rows that an unfinished flush left as written."""
        for episode_id in episode_ids:
            if episode_id in self.states:
                self.changes.append(self.states[episode_id])
            else:
                self.orphaned_ids.add(episode_id)

    def take_orphans(self) -> list[str]:
        """The orphaned rows that no clean run would have."""
        orphans = sorted(self.orphaned_ids - self.states.keys())
        self.orphaned_ids.clear()
        self.told_ids.clear()
        return orphans

    def of_journey(self, journey_id: str) -> list[EpisodeState]:
        """The episodes that began in a journey, without those withdrawn."""
        return [s for s in self.states.values() if s.journey_id == journey_id and s.status != "withdrawn"]


def _change_of(former: EpisodeState | None, state: EpisodeState) -> Change | None:
    """What a state adds to the former one; None when they say the same."""
    if former is None:
        return "opened" if state.status == "open" else "resolved"
    if former == msgspec.structs.replace(state, change=former.change):
        return None
    if state.status != "open":
        return "updated" if former.status == state.status else state.status
    if former.status != "open":
        return "opened"
    is_graver = SEVERITIES.index(state.severity) > _rank(former.severity)
    return "escalated" if is_graver else "updated"


def _rank(severity: str) -> int:
    return SEVERITIES.index(severity) if severity in SEVERITIES else 0
