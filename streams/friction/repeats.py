"""Primitive `repeat`: n touchpoints of a type about the same thing, each soon after the one before."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.durations import to_milliseconds
from streams.friction.finding import Finding
from streams.promises import FOREVER_MS
from streams.rules.model import FIELDS, Repeat, Rule
from streams.touch import Touch

Subject = tuple[str, str]


def _subjects(touch: Touch, names: Sequence[str]) -> list[Subject]:
    values = ((name, getattr(touch, name) if name in FIELDS else (touch.details or {}).get(name)) for name in names)
    return [(name, str(value)) for name, value in values if value]


def chain(repeat: Repeat, signals: Sequence[Touch]) -> list[list[Touch]]:
    """Touches chained while they share an order, a topic, … and follow within the window; earlier names go first."""
    within_ms = to_milliseconds(repeat.within)
    chains: list[list[Touch]] = []
    latest: dict[Subject, list[Touch]] = {}
    for touch in signals:
        if touch.type != repeat.type:
            continue
        subjects = _subjects(touch, repeat.same)
        near = [
            latest[s] for s in subjects if s in latest and touch.occurred_ms - latest[s][-1].occurred_ms <= within_ms
        ]
        links = near[0] if near else []
        if not near:
            chains.append(links)
        links.append(touch)
        latest.update(dict.fromkeys(subjects, links))
    return chains


def find_repeats(rule: Rule, signals: Sequence[Touch], now_ms: int) -> tuple[list[Finding], int]:
    """Chains that are long enough, and the next moment at which the answer may change by itself."""
    assert rule.repeat is not None
    within_ms = to_milliseconds(rule.repeat.within)
    found: list[Finding] = []
    due_ms = FOREVER_MS
    for links in chain(rule.repeat, signals):
        if len(links) < rule.repeat.count:
            continue
        quiet_ms = links[-1].occurred_ms + within_ms
        if now_ms <= quiet_ms:
            due_ms = min(due_ms, quiet_ms + 1)
        found.append(
            Finding(
                rule=rule,
                anchor=links[0],
                subject=_subjects(links[0], rule.repeat.same)[0][1],
                opened_ms=links[rule.repeat.count - 1].occurred_ms,
                last_seen_ms=links[-1].occurred_ms,
                resolved_ms=quiet_ms if now_ms > quiet_ms else None,
                threshold=rule.repeat.count - 1,
                actual=len(links),
                unit="contacts",
                evidence=tuple(links),
            )
        )
    return found, due_ms
