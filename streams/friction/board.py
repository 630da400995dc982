"""The findings of one customer, by episode and by what found them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from streams.friction.finding import Finding
from streams.rules.model import Rule


class Origin(Protocol):
    """What finds episodes: a matter, a sequel, or a fold that is judged as a whole."""

    rule: Rule


class Board:
    """Each origin has at most one finding of an episode; where several find the same one, the first to open counts."""

    __slots__ = ("_found", "_ids", "_key", "_rules", "_touched")

    def __init__(self, key: str) -> None:
        self._key = key
        self._found: dict[str, dict[Origin, Finding]] = {}
        self._ids: dict[Origin, frozenset[str]] = {}
        self._rules: dict[str, Rule] = {}
        self._touched: set[str] = set()

    def put(self, origin: Origin, findings: Collection[Finding]) -> None:
        """All that an origin finds now; what it found before and does not name any more is gone."""
        if not findings and origin not in self._ids:
            return
        found = {self.name(finding): finding for finding in findings}
        former = self._ids.get(origin)
        if former is not None:
            for episode_id in former - found.keys():
                del self._found[episode_id][origin]
                self._touched.add(episode_id)
        for episode_id, finding in found.items():
            others = self._found.setdefault(episode_id, {})
            if others.get(origin) != finding:
                others[origin] = finding
                self._rules[episode_id] = finding.rule
                self._touched.add(episode_id)
        if found:
            self._ids[origin] = frozenset(found)
        elif former is not None:
            del self._ids[origin]

    def name(self, finding: Finding) -> str:
        """The id of the episode."""
        return finding.episode_id(self._key)

    def origins_of(self, rules: frozenset[str]) -> list[Origin]:
        """What has found something for these rules."""
        return [origin for origin in self._ids if origin.rule.id in rules]

    def take_touched(self) -> set[str]:
        """The episodes that may have changed since the last call."""
        touched = self._touched
        if touched:
            self._touched = set()
        return touched

    def rule_of(self, episode_id: str) -> Rule:
        """The rule of an episode that was found at some time."""
        return self._rules[episode_id]

    def get(self, episode_id: str) -> Finding | None:
        """The finding that counts."""
        found = self._found.get(episode_id)
        if not found:
            return None
        if len(found) == 1:
            return next(iter(found.values()))
        return min(found.items(), key=_precedence)[1]

    def all_of(self, rule_id: str) -> list[Finding]:
        """All findings of one rule that count."""
        ids = [episode_id for episode_id, rule in self._rules.items() if rule.id == rule_id]
        return [finding for finding in map(self.get, ids) if finding is not None]


def _precedence(found: tuple[Origin, Finding]) -> tuple[int, str]:
    return found[1].opened_ms, str(getattr(found[0], "rank", ""))
