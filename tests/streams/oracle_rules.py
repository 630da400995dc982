"""All that the rules find: each primitive by its definition, then scope, one episode a problem, cooldown, severity."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from streams.rules.calendars import Calendar
from streams.rules.model import Rule
from streams.touch import Touch
from tests.streams.oracle_absences import deadlines, waits
from tests.streams.oracle_found import Clock, Found, identity, in_order, is_in_scope, ms
from tests.streams.oracle_promises import Owed
from tests.streams.oracle_repeats import mismatches, repeats, thresholds
from tests.streams.oracle_sequences import after_episodes, after_touches

FOREVER = 2**62


def judge(
    rules: Sequence[Rule],
    touches: Sequence[Touch],
    made: Sequence[Owed],
    now: int,
    calendars: Mapping[str, Calendar],
) -> list[Found]:
    """Every episode as it stands at `now`; first what begins with touches, then what begins with friction."""
    found: list[Found] = []
    sequels = [rule for rule in rules if rule.sequence is not None and rule.sequence.first.episodes is not None]
    for rule in rules:
        if rule not in sequels:
            clock = Clock(calendars[rule.calendar] if rule.calendar else None)
            found += tell_apart(rule, [*apply_primitive(rule, touches, made, now, clock)])
    frictions = [episode for episode in found if episode.rule.kind == "friction"]
    frictions.sort(key=lambda episode: episode.rule.id)
    for rule in sequels:
        clock = Clock(calendars[rule.calendar] if rule.calendar else None)
        found += tell_apart(rule, [*after_episodes(rule, frictions, touches, now, clock)])
    return found


def apply_primitive(
    rule: Rule, touches: Sequence[Touch], made: Sequence[Owed], now: int, clock: Clock
) -> Iterator[Found]:
    if rule.wait is not None:
        yield from waits(rule, touches, now, clock)
    elif rule.repeat is not None:
        yield from repeats(rule, touches, now)
    elif rule.deadline is not None:
        yield from deadlines(rule, touches, made, now, clock)
    elif rule.sequence is not None:
        yield from after_touches(rule, touches, now, clock)
    elif rule.threshold is not None:
        yield from thresholds(rule, touches)
    else:
        yield from mismatches(rule, touches, now)


def tell_apart(rule: Rule, found: Sequence[Found]) -> list[Found]:
    """Those in scope, of one anchor the first; what opens while the one before has hardly passed is that one still."""
    kept: dict[tuple[str, str], Found] = {}
    for episode in sorted(found, key=lambda episode: (episode.opened, in_order(episode.anchor))):
        if is_in_scope(rule, episode.anchor):
            kept.setdefault(identity(episode.anchor), episode)
    if rule.cooldown is None:
        return [*kept.values()]
    begins_with_episodes = rule.sequence is not None and rule.sequence.first.episodes is not None
    latest: dict[str, Found] = {}
    merged: list[Found] = []
    for episode in kept.values():
        about = "" if begins_with_episodes else episode.subject
        former = latest.get(about)
        if former is not None and episode.opened <= cools_until(former):
            update(former, episode)
        else:
            latest[about] = episode
            merged.append(episode)
    return merged


def cools_until(episode: Found) -> int:
    if episode.resolved is None:
        return FOREVER
    assert episode.rule.cooldown is not None
    return max(episode.seen, episode.resolved) + ms(episode.rule.cooldown)


def update(former: Found, latter: Found) -> None:
    """Let an episode go on as the latter says; it stays the problem that it was."""
    former.seen = max(former.seen, latter.seen)
    is_over = former.resolved is not None and latter.resolved is not None
    former.resolved = max(former.resolved or 0, latter.resolved or 0) if is_over else None
    former.threshold, former.actual, former.unit = latter.threshold, latter.actual, latter.unit
    former.evidence = sorted({identity(t): t for t in former.evidence + latter.evidence}.values(), key=in_order)


def severity(found: Found, now: int) -> str:
    """The rule's own, or the gravest that how long it lasts or how much was counted has raised it to."""
    levels = ("info", "warning", "critical")
    lasted = (now if found.resolved is None else found.resolved) - found.opened
    reached = [found.rule.severity]
    for step in found.rule.escalate:
        if (step.after is not None and lasted >= ms(step.after)) or (
            step.count is not None and found.actual >= step.count
        ):
            reached.append(step.to)
    return max(reached, key=levels.index)
