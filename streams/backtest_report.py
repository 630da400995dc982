"""What a back-test says in the end: counts by rule, by store and by day, against the journeys of the time. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from schemas.moments import format_epoch_ms
from streams.backtest import DIFFERENCES, RuleChange, Window
from streams.backtest_tally import DAY_MS, Counts, Example, Side, Tally
from streams.rules.loading import RuleSet


@dataclass(frozen=True)
class Report:
    """`journeys`: how many journeys had a touchpoint in the window, or went on over it."""

    change: RuleChange
    window: Window
    tally: Tally
    journeys: int

    @property
    def is_comparison(self) -> bool:
        """Whether anything changes at all."""
        return self.change.after is not None

    def total(self) -> Counts:
        """All that was counted."""
        return _add_up(self.tally.counts.values())

    def by_rule(self) -> dict[str, Counts]:
        """Counts of each rule that may differ, also of those that find nothing: first those that do differ."""
        found = {rule: Counts() for rule in self._rules}
        for (rule, _, _), counts in self.tally.counts.items():
            found[rule].add(counts)
        return found

    @property
    def _rules(self) -> list[str]:
        change = self.change
        return [*sorted(change.differing), *sorted(change.told - change.differing)]

    def by_store(self) -> dict[str, Counts]:
        """Counts by store, those with the greatest difference first. An empty name: no store."""
        found: dict[str, Counts] = {}
        for (_, store_id, _), counts in self.tally.counts.items():
            found.setdefault(store_id, Counts()).add(counts)
        return dict(sorted(found.items(), key=lambda each: (*weigh(each[1]), each[0])))

    def by_day(self) -> dict[int, Counts]:
        """Counts of each day (UTC) of the window, by epoch milliseconds of its midnight."""
        first_ms = self.window.since_ms // DAY_MS * DAY_MS
        found = {day_ms: Counts() for day_ms in range(first_ms, self.window.until_ms, DAY_MS)}
        for (_, _, day_ms), counts in self.tally.counts.items():
            found.setdefault(day_ms, Counts()).add(counts)
        return dict(sorted(found.items()))

    def examples(self) -> list[Example]:
        """What was kept of each rule: added ones, then removed, then changed ones."""
        kept = self.tally.examples
        return [
            example
            for rule in self._rules
            for difference in DIFFERENCES
            for example in kept.get((rule, difference), ())
        ]

    def per_thousand(self, count: int) -> float | None:
        """So many for each 1,000 journeys; None where there is no journey."""
        return 1000 * count / self.journeys if self.journeys else None

    def as_json(self) -> dict[str, Any]:
        """All of it, in JSON's types."""
        change = self.change
        rules = [
            {
                "rule": rule,
                "differs": self.is_comparison and rule in change.differing,
                "version_before": _version(change.before, rule),
                "version_after": _version(change.after or change.before, rule),
                **self._numbers(counts),
            }
            for rule, counts in self.by_rule().items()
        ]
        stores = [{"store_id": store_id, **self._numbers(counts)} for store_id, counts in self.by_store().items()]
        days = [{"day": show_day(day), **self._numbers(counts)} for day, counts in self.by_day().items()]
        return {
            "since": format_epoch_ms(self.window.since_ms),
            "until": format_epoch_ms(self.window.until_ms),
            "is_comparison": self.is_comparison,
            "touchpoints": self.tally.touchpoints,
            "customers": self.tally.customers,
            "journeys": self.journeys,
            "total": self._numbers(self.total()),
            "rules": rules,
            "stores": stores,
            "days": days,
            "examples": [_describe(example) for example in self.examples()],
        }

    def _numbers(self, counts: Counts) -> dict[str, Any]:
        names = ("opened", "severity", "resolved", "actual")
        flat = asdict(counts)
        changed_in = {name: flat.pop(name) for name in names}
        return {
            **flat,
            "changed_in": changed_in,
            "acknowledged_share": counts.acknowledged_share,
            "per_1000_journeys_before": self.per_thousand(counts.before),
            "per_1000_journeys_after": self.per_thousand(counts.after),
        }


def weigh(counts: Counts) -> tuple[int, int]:
    """Sorts what differs most first, then what is most."""
    return -(counts.added + counts.removed + counts.changed), -counts.after


def show_day(day_ms: int) -> str:
    """`2026-11-24`."""
    return format_epoch_ms(day_ms)[:10]


def _add_up(parts: Iterable[Counts]) -> Counts:
    whole = Counts()
    for part in parts:
        whole.add(part)
    return whole


def _version(rule_set: RuleSet, rule_id: str) -> int | None:
    return next((rule.version for rule in rule_set.rules if rule.id == rule_id), None)


def _describe(example: Example) -> dict[str, Any]:
    return {
        "episode_id": example.episode_id,
        "rule": example.rule,
        "difference": example.difference,
        "changed": list(example.changed),
        "customer_id": example.customer_id,
        "before": _describe_side(example.before),
        "after": _describe_side(example.after),
    }


def _describe_side(side: Side | None) -> dict[str, Any] | None:
    if side is None:
        return None
    flat = asdict(side)
    opened_ms, resolved_ms = flat.pop("opened_ms"), flat.pop("resolved_ms")
    return {
        "opened_at": format_epoch_ms(opened_ms),
        "resolved_at": None if resolved_ms is None else format_epoch_ms(resolved_ms),
        **flat,
    }
