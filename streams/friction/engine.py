"""All rules over one customer's history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from streams.friction.deadlines import find_deadlines
from streams.friction.finding import Finding
from streams.friction.repeats import find_repeats
from streams.friction.waits import find_waits
from streams.promises import FOREVER_MS, Promise
from streams.rules.model import Rule
from streams.touch import Touch


@dataclass(frozen=True, slots=True)
class Detection:
    """What all rules found, by episode id; `due_ms` is when time alone may change it."""

    findings: dict[str, Finding]
    due_ms: int


def detect(
    rules: Sequence[Rule], customer_key: str, signals: Sequence[Touch], promises: Sequence[Promise], now_ms: int
) -> Detection:
    """A pure function of the customer's signals (in order), promises and the time. Costs grow with the signals."""
    findings: dict[str, Finding] = {}
    due_ms = FOREVER_MS
    types = {touch.type for touch in signals}
    for rule in rules:
        if not (promises if rule.deadline is not None else types & rule.triggers):
            continue
        match rule.primitive:
            case "wait":
                found, changes_ms = find_waits(rule, signals, now_ms)
            case "repeat":
                found, changes_ms = find_repeats(rule, signals, now_ms)
            case "deadline":
                found, changes_ms = find_deadlines(rule, promises, now_ms)
        due_ms = min(due_ms, changes_ms)
        findings.update((finding.episode_id(customer_key), finding) for finding in found)
    return Detection(findings, due_ms)
