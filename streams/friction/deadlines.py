"""Primitive `deadline`: the time of a promise passes while it is still owed."""

from __future__ import annotations

from collections.abc import Sequence

from streams.friction.finding import Finding, step_elapsed
from streams.promises import FOREVER_MS, Promise
from streams.rules.model import Rule

FIRST_STEP_MS = 3_600_000


def find_deadlines(rule: Rule, promises: Sequence[Promise], now_ms: int) -> tuple[list[Finding], int]:
    """Promises whose time passed while they were owed, and the next moment at which the answer may change by itself."""
    assert rule.deadline is not None
    found: list[Finding] = []
    due_ms = FOREVER_MS
    for promise in promises:
        if promise.kind.name != rule.deadline.promise:
            continue
        broken_ms, promised_ms = promise.broken()
        if broken_ms > now_ms:
            due_ms = min(due_ms, broken_ms)
            continue
        finding, changes_ms = _judge(rule, promise, broken_ms, promised_ms, now_ms)
        found.append(finding)
        due_ms = min(due_ms, changes_ms)
    return found, due_ms


def _judge(rule: Rule, promise: Promise, broken_ms: int, promised_ms: int, now_ms: int) -> tuple[Finding, int]:
    settled_ms = promise.settled_ms
    overdue_ms, changes_ms = 0, FOREVER_MS
    if settled_ms is not None:
        overdue_ms = settled_ms - promised_ms
    else:
        overdue_ms, following = step_elapsed(now_ms - promised_ms, FIRST_STEP_MS)
        changes_ms = promised_ms + following
    finding = Finding(
        rule=rule,
        anchor=promise.opening,
        subject=promise.subject,
        opened_ms=broken_ms,
        last_seen_ms=settled_ms if settled_ms is not None else max(broken_ms, promised_ms + overdue_ms),
        resolved_ms=settled_ms,
        threshold=0,
        actual=overdue_ms / 1000,
        unit="seconds",
        evidence=(promise.opening,) if promise.settling is None else (promise.opening, promise.settling),
        promised_ms=promised_ms,
    )
    return finding, changes_ms
