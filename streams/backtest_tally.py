"""What a back-test comes to: counts by rule, store and day, and a few examples. Pure; shares of it add up."""

from __future__ import annotations

from bisect import insort
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, fields

from streams.backtest import Compared, Difference
from streams.friction.texts import render_reason
from streams.rules.model import Rule
from streams.states import EpisodeState

DAY_MS = 86_400_000
Place = tuple[str, str, int]
"""Rule, store (empty: none) and the day, epoch milliseconds of its midnight UTC."""


@dataclass(slots=True)
class Counts:
    """Episodes: under the rules in force, under the changed ones, and how the two differ.

    `changed` ones may differ in several of `opened`, `severity`, `resolved` and `actual`. `acknowledged`: how many of
    those before the change somebody had acknowledged; `removed_acknowledged`: how many of the removed ones.
    """

    before: int = 0
    after: int = 0
    added: int = 0
    removed: int = 0
    changed: int = 0
    opened: int = 0
    severity: int = 0
    resolved: int = 0
    actual: int = 0
    acknowledged: int = 0
    removed_acknowledged: int = 0

    def note(self, compared: Compared, is_acknowledged: bool) -> None:
        """Count one episode."""
        difference = compared.difference
        self.before += compared.before is not None
        self.after += compared.after is not None
        self.added += difference == "added"
        self.removed += difference == "removed"
        self.changed += difference == "changed"
        for name in compared.changed:
            field = name.removesuffix("_ms")
            setattr(self, field, getattr(self, field) + 1)
        if is_acknowledged and compared.before is not None:
            self.acknowledged += 1
            self.removed_acknowledged += compared.after is None

    def add(self, other: Counts) -> None:
        """Take in another count."""
        for each in _NAMES:
            setattr(self, each, getattr(self, each) + getattr(other, each))

    @property
    def acknowledged_share(self) -> float | None:
        """Of those before the change; None where there were none."""
        return self.acknowledged / self.before if self.before else None


_NAMES = tuple(each.name for each in fields(Counts))


@dataclass(frozen=True)
class Side:
    """One episode under one of the two rule sets, with its reason in words. Times are epoch milliseconds."""

    store_id: str
    subject: str
    opened_ms: int
    resolved_ms: int | None
    severity: str
    actual: float
    unit: str
    reason_en: str
    reason_he: str

    @classmethod
    def of(cls, state: EpisodeState, rule: Rule) -> Side:
        """What is said of a state of an episode."""
        return cls(
            state.store_id, state.subject, state.opened_ms, state.resolved_ms, state.severity, state.actual, state.unit,
            render_reason(rule, state, "en"), render_reason(rule, state, "he"),
        )  # fmt: skip


@dataclass(frozen=True)
class Example:
    """One episode that would not be as it was. `changed`: which of `opened`, `severity`, `resolved` and `actual`."""

    episode_id: str
    rule: str
    difference: Difference
    customer_id: str
    before: Side | None
    after: Side | None
    changed: tuple[str, ...] = ()

    @property
    def shown(self) -> Side:
        """As it would be from now on, else as it was."""
        found = self.after or self.before
        assert found is not None, "it was found under one of the two"
        return found


def _identity(example: Example) -> str:
    return example.episode_id


class Tally:
    """Counts of a part of the customers, or of all. `most`: so many examples are kept of each rule and difference."""

    def __init__(self, most: int = 0) -> None:
        self.counts: dict[Place, Counts] = {}
        self.examples: dict[tuple[str, Difference], list[Example]] = {}
        self.touchpoints = 0
        self.customers = 0
        self._most = most

    def note(self, compared: Compared, is_acknowledged: bool) -> None:
        """Count one episode, where and when it is shown."""
        shown = compared.shown
        place = shown.rule, shown.store_id, shown.opened_ms // DAY_MS * DAY_MS
        counts = self.counts.get(place)
        if counts is None:
            counts = self.counts[place] = Counts()
        counts.note(compared, is_acknowledged)

    def wants(self, rule: str, difference: Difference, episode_id: str) -> bool:
        """Whether it is an example to keep: those with the least ids are, a choice at random and always the same."""
        kept = self.examples.get((rule, difference), [])
        return len(kept) < self._most or (bool(kept) and episode_id < kept[-1].episode_id)

    def keep(self, example: Example) -> None:
        """Take an example that is wanted."""
        kept = self.examples.setdefault((example.rule, example.difference), [])
        insort(kept, example, key=_identity)
        del kept[self._most :]

    def merge(self, other: Tally) -> None:
        """Take in what was counted of other customers."""
        self.touchpoints += other.touchpoints
        self.customers += other.customers
        for place, counts in other.counts.items():
            self.counts.setdefault(place, Counts()).add(counts)
        for (rule, difference), examples in other.examples.items():
            for example in examples:
                if self.wants(rule, difference, example.episode_id):
                    self.keep(example)


class Counting:
    """Counts the episodes of one customer after the other into `tally`."""

    def __init__(
        self,
        before: Mapping[str, Rule],
        after: Mapping[str, Rule],
        acknowledged: Container[str] = frozenset(),
        most_examples: int = 0,
    ) -> None:
        """`acknowledged`: ids of episodes that somebody has acknowledged."""
        self.tally = Tally(most_examples)
        self._before = before
        self._after = after
        self._acknowledged = acknowledged

    def count(self, customer_id: str, found: Iterable[Compared], touchpoints: int) -> None:
        """Count what one customer's touchpoints come to."""
        tally = self.tally
        tally.touchpoints += touchpoints
        tally.customers += 1
        for compared in found:
            shown, difference = compared.shown, compared.difference
            tally.note(compared, shown.episode_id in self._acknowledged)
            if difference != "unchanged" and tally.wants(shown.rule, difference, shown.episode_id):
                tally.keep(self._explain(customer_id, compared))

    def _explain(self, customer_id: str, compared: Compared) -> Example:
        before, after = compared.before, compared.after
        return Example(
            compared.shown.episode_id,
            compared.shown.rule,
            compared.difference,
            customer_id,
            None if before is None else Side.of(before, self._before[before.rule]),
            None if after is None else Side.of(after, self._after[after.rule]),
            tuple(name.removesuffix("_ms") for name in compared.changed),
        )
