"""The tray: states of episodes that wait for the next flush, and what was found out of them meanwhile. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from streams.friction.texts import Wording, word
from streams.rows import Origin, Rows, alert_row
from streams.rules.model import Rule, retired_rule
from streams.states import EpisodeState


class AlertTray:
    """`states`: customer and state by episode id. `affected`: how many other customers an episode concerns, where that
    was counted. `wordings`: what was said of a state when it was told.
    """

    def __init__(self) -> None:
        self.states: dict[str, tuple[str, EpisodeState]] = {}
        self.affected: dict[str, int] = {}
        self.wordings: dict[str, tuple[EpisodeState, Wording]] = {}

    def __len__(self) -> int:
        return len(self.states)

    def put(self, customer: str, state: EpisodeState) -> None:
        """Have one state of an episode written with the next flush."""
        self.states[state.episode_id] = customer, state

    def drop(self, customer: str) -> None:
        """Let go of what waits of a customer."""
        self.states = {name: kept for name, kept in self.states.items() if kept[0] != customer}

    def gather(self, rules: Mapping[str, Rule], detected_ms: int, origin: Origin, rows: Rows) -> None:
        """Move what waits into rows."""
        for name, state in self.states.values():
            rule = rules.get(state.rule) or retired_rule(state.rule)
            wording, affected = self._word(rule, state), self.affected.get(state.episode_id)
            rows.alerts.append(alert_row(name, rule, state, wording, detected_ms, origin, affected=affected))
            if state.status != "open":
                self.affected.pop(state.episode_id, None)
        self.states = {}

    def _word(self, rule: Rule, state: EpisodeState) -> Wording:
        said = self.wordings.pop(state.episode_id, None)
        return said[1] if said is not None and said[0] is state else word(rule, state)
