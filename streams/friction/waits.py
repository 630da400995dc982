"""Primitive `wait`: A until B takes longer than allowed, also while B has not come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from schemas.durations import to_milliseconds
from streams.friction.finding import Finding, step_elapsed
from streams.promises import FOREVER_MS
from streams.rules.model import FIELDS, Rule, WaitCase
from streams.touch import Touch


def _value_of(touch: Touch, name: str) -> str | None:
    value = getattr(touch, name) if name in FIELDS else (touch.details or {}).get(name)
    return None if value is None else str(value)


def pair_waits(case: WaitCase, signals: Sequence[Touch]) -> Iterator[tuple[Touch, Touch | None]]:
    """Each beginning with what ended it, or None. A second beginning on the same key ends the first wait."""
    waiting: dict[tuple[str | None, ...], Touch] = {}
    for touch in signals:
        begins = touch.type == case.begins and (not case.channels or touch.channel in case.channels)
        if not begins and touch.type not in case.ends:
            continue
        key = tuple(_value_of(touch, name) for name in case.match)
        former = waiting.pop(key, None)
        if former is not None:
            yield former, touch
        if begins:
            waiting[key] = touch
    for touch in waiting.values():
        yield touch, None


def find_waits(rule: Rule, signals: Sequence[Touch], now_ms: int) -> tuple[list[Finding], int]:
    """Waits that are longer than the rule allows, and the next moment at which the answer may change by itself."""
    found: list[Finding] = []
    due_ms = FOREVER_MS
    assert rule.wait is not None
    types = {touch.type for touch in signals}
    for case in rule.wait.cases:
        if case.begins not in types:
            continue
        for began, ended in pair_waits(case, signals):
            finding, changes_ms = _judge(rule, case, began, ended, now_ms)
            due_ms = min(due_ms, changes_ms)
            if finding is not None:
                found.append(finding)
    return found, due_ms


def _judge(rule: Rule, case: WaitCase, began: Touch, ended: Touch | None, now_ms: int) -> tuple[Finding | None, int]:
    limit_ms, give_up_ms = to_milliseconds(case.longer_than), to_milliseconds(case.give_up_after)
    start = began.occurred_ms
    end = ended.occurred_ms if ended is not None and ended.occurred_ms - start <= give_up_ms else None
    if end is None and now_ms - start > give_up_ms:
        ended, end = None, start + give_up_ms
    waited = (end if end is not None else now_ms) - start
    if waited <= limit_ms:
        return None, FOREVER_MS if end is not None else start + limit_ms + 1
    opened, changes_ms = start + limit_ms + 1, FOREVER_MS
    if end is None:
        waited, following = step_elapsed(waited, limit_ms)
        changes_ms = start + min(following, give_up_ms + 1)
    finding = Finding(
        rule=rule,
        anchor=began,
        subject="/".join(filter(None, (_value_of(began, name) for name in case.match))),
        opened_ms=opened,
        last_seen_ms=end if end is not None else max(opened, start + waited),
        resolved_ms=end,
        threshold=limit_ms / 1000,
        actual=waited / 1000,
        unit="seconds",
        evidence=(began,) if ended is None else (began, ended),
    )
    return finding, changes_ms
