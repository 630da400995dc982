"""What must come out for a set of touchpoints: plain, slow lines from the definitions, not from the worker's code."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from streams.rules.model import Rule, WaitCase
from streams.touch import Touch, derive_id

HOUR_MS = 3_600_000
FOREVER = 2**62


@dataclass(frozen=True)
class Limits:
    """The boundaries of a journey, in milliseconds."""

    gap: int
    max_gap: int
    hold_open: bool = True


@dataclass(frozen=True)
class Kind:
    """One kind of promise: what opens it (and the property with its time), moves, settles and withdraws it."""

    subject: str
    opens: dict[str, str]
    moves: dict[str, str]
    settles: tuple[str, ...]
    withdraws: tuple[str, ...] = ()
    lapses: bool = False


KINDS = {
    "delivery": Kind(
        "order_id",
        {"order_placed": "promised_by", "delivery_promised": "promised_by"},
        {"delivery_delayed": "promised_by"},
        ("delivered", "picked_up"),
        ("parcel_returned", "returned"),
    ),
    "callback": Kind("contact_id", {"callback_promised": "due_at"}, {}, ("callback_made",)),
    "refund": Kind("order_id", {"refund_promised": "due_at"}, {}, ("refund_issued",)),
    "hold": Kind("sku", {"hold_created": "expires_at"}, {}, ("hold_collected", "hold_expired"), lapses=True),
}


@dataclass
class Owed:
    """One promise and all that became of it. `times`: (said at, promised for)."""

    kind: str
    subject: str
    opening: Touch
    times: list[tuple[int, int]]
    settling: Touch | None = None
    withdrawn: bool = False
    given_up: bool = False

    def holds(self, at: int) -> bool:
        """Whether it holds its journey open at that time, knowing only what was known then."""
        return self.settling is None and not (KINDS[self.kind].lapses and at > self.times[-1][1])

    def status(self, now: int) -> str:
        lapses = KINDS[self.kind].lapses
        if self.settling is None:
            return "open" if now <= self.times[-1][1] else "kept" if lapses else "broken"
        if self.withdrawn:
            return "withdrawn"
        return "kept" if lapses or self.settling.occurred_ms <= self.times[-1][1] else "late"

    def first_passed(self) -> tuple[int, int] | None:
        """(said at, promised for) of what first passed unfulfilled."""
        end = self.settling.occurred_ms if self.settling else FOREVER
        untils = [said for said, _ in self.times[1:]] + [FOREVER]
        passed = (time for time, until in zip(self.times, untils, strict=True) if time[1] < min(until, end))
        return next(passed, None)


@dataclass
class Stretch:
    """One journey: its touches in order, and the promises made in it."""

    touches: list[Touch] = field(default_factory=list)
    promises: list[Owed] = field(default_factory=list)


@dataclass(frozen=True)
class Expected:
    """What the tables must show, row by row."""

    journeys: frozenset[tuple[object, ...]]
    promises: frozenset[tuple[object, ...]]
    episodes: frozenset[tuple[object, ...]]


def expect(seen: Iterable[tuple[str, Touch]], limits: Limits, rules: Sequence[Rule], now: int) -> Expected:
    """The journeys, promises and friction of (customer key, touch) pairs in any order, as they stand at `now`."""
    journeys: set[tuple[object, ...]] = set()
    promises: set[tuple[object, ...]] = set()
    episodes: set[tuple[object, ...]] = set()
    for customer, touches in by_customer(seen).items():
        made, stretches = walk(touches, limits)
        found = [episode for rule in rules for episode in judge(rule, touches, made, now)]
        name = customer.removeprefix("customer_id:")
        for stretch in stretches:
            mine = [episode for episode in found if episode[1] in stretch.touches]
            journeys.add((name, *journey_row(customer, stretch, stretch is stretches[-1], len(mine), limits, now)))
            promises |= {(name, *promise_row(customer, stretch, owed, now)) for owed in stretch.promises}
            episodes |= {
                (name, derive_id(customer, rule, *identity(anchor)), journey_id(customer, stretch), rule, *rest)
                for rule, anchor, *rest in mine
            }
    return Expected(frozenset(journeys), frozenset(promises), frozenset(episodes))


def by_customer(seen: Iterable[tuple[str, Touch]]) -> dict[str, list[Touch]]:
    """Each customer's touches in order, of those with one identity only the earliest received."""
    kept: dict[str, dict[tuple[str, str], Touch]] = {}
    for customer, touch in seen:
        versions = kept.setdefault(customer, {})
        known = versions.get(identity(touch))
        if known is None or touch.received_ms < known.received_ms:
            versions[identity(touch)] = touch
    return {
        customer: sorted(versions.values(), key=lambda touch: (touch.occurred_ms, touch.source, touch.event_id))
        for customer, versions in kept.items()
    }


def identity(touch: Touch) -> tuple[str, str]:
    return touch.source, touch.event_id


def walk(touches: Sequence[Touch], limits: Limits) -> tuple[list[Owed], list[Stretch]]:
    """All promises, and the journeys in which they were made."""
    made: list[Owed] = []
    stretches: list[Stretch] = []
    for touch in touches:
        if not stretches or begins_anew(stretches[-1], touch.occurred_ms, limits):
            stretches.append(Stretch())
            for owed in made:
                # What a journey was held open for ends with it.
                owed.given_up = owed.given_up or limits.hold_open
        stretches[-1].touches.append(touch)
        known = len(made)
        apply(touch, made)
        stretches[-1].promises += made[known:]
    return made, stretches


def begins_anew(stretch: Stretch, at: int, limits: Limits) -> bool:
    distance = at - stretch.touches[-1].occurred_ms
    is_held = limits.hold_open and any(owed.holds(at) for owed in stretch.promises)
    return distance > limits.gap and (not is_held or distance > limits.max_gap)


def apply(touch: Touch, made: list[Owed]) -> None:
    """Let a touch open, move, settle or withdraw a promise."""
    for name, kind in KINDS.items():
        times = {**kind.opens, **kind.moves}
        details = touch.details or {}
        subject = touch.order_id if kind.subject == "order_id" else details.get(kind.subject) or touch.order_id
        unsettled = [owed for owed in made if owed.kind == name and not (owed.settling or owed.given_up)]
        meant = next((owed for owed in unsettled if not subject or owed.subject == subject), None)
        if touch.type in kind.settles + kind.withdraws and meant is not None:
            meant.settling, meant.withdrawn = touch, touch.type in kind.withdraws
        due = details.get(times.get(touch.type, ""))
        if due is None:
            continue
        if touch.type in kind.opens and (meant is None or not subject or not meant.holds(touch.occurred_ms)):
            if meant is not None and subject:
                # It has lapsed, and what comes concerns the second hold on that thing.
                meant.given_up = True
            made.append(Owed(name, subject or f"{touch.source}/{touch.event_id}", touch, [(touch.occurred_ms, due)]))
        elif meant is not None:
            meant.times.append((touch.occurred_ms, due))


def journey_id(customer: str, stretch: Stretch) -> str:
    return derive_id(customer, *identity(stretch.touches[0]))


def journey_row(
    customer: str, stretch: Stretch, is_last: bool, friction: int, limits: Limits, now: int
) -> tuple[object, ...]:
    """Id, start, end, members, status, outcome, promises by status, friction."""
    touches = stretch.touches
    is_open = is_last and not begins_anew(stretch, now, limits)
    statuses = [owed.status(now) for owed in stretch.promises]
    return (
        journey_id(customer, stretch),
        touches[0].occurred_ms,
        touches[-1].occurred_ms,
        tuple(sorted(f"{touch.source}/{touch.event_id}" for touch in touches)),
        "open" if is_open else "closed",
        outcome(touches),
        tuple(statuses.count(status) for status in ("open", "kept", "late", "broken")),
        friction,
    )


def outcome(touches: Sequence[Touch]) -> str:
    """A return outweighs an order, an order outweighs support, support outweighs browsing."""
    types = [touch.type for touch in touches]
    if {"returned", "parcel_returned"} & set(types):
        return "returned"
    if {"order_placed", "purchased"} & set(types):
        return "converted"
    verdicts = [resolution(touch) for touch in touches if resolution(touch) is not None]
    if verdicts or "contact_started" in types:
        return "resolved" if verdicts and verdicts[-1] else "unresolved"
    return "abandoned" if {"cart_updated", "checkout_started", "payment_failed"} & set(types) else "browsing"


def resolution(touch: Touch) -> bool | None:
    if touch.type == "contact_ended":
        return bool((touch.details or {}).get("resolved"))
    return {"complaint_opened": False, "complaint_resolved": True}.get(touch.type)


def promise_row(customer: str, stretch: Stretch, owed: Owed, now: int) -> tuple[object, ...]:
    """Id, journey, kind, subject, requested, first and latest promised, settled, status."""
    return (
        derive_id(customer, owed.kind, owed.subject, *identity(owed.opening)),
        journey_id(customer, stretch),
        owed.kind,
        owed.subject,
        owed.opening.occurred_ms,
        owed.times[0][1],
        owed.times[-1][1],
        owed.settling.occurred_ms if owed.settling else 0,
        owed.status(now),
    )


Found = tuple[str, Touch, str, str, int, int, int, float, tuple[str, ...]]
"""Rule, anchor, status, subject, opened, last seen, resolved (0: not), actual, evidence."""


def judge(rule: Rule, touches: Sequence[Touch], made: Sequence[Owed], now: int) -> list[Found]:
    """Every problem that a rule finds, as it stands at `now`."""
    if rule.wait is not None:
        return [found for case in rule.wait.cases for found in waits(rule.id, case, touches, now)]
    if rule.repeat is not None:
        return repeats(rule, touches, now)
    assert rule.deadline is not None
    return deadlines(rule.id, [owed for owed in made if owed.kind == rule.deadline.promise], now)


def ms(duration: timedelta) -> int:
    return round(duration.total_seconds() * 1000)


def stepped(elapsed: int, first: int) -> int:
    """Of 0, first, twice first, four times first … the greatest that has been reached."""
    step = 0
    while elapsed >= (following := step * 2 or first):
        step = following
    return step


def value(touch: Touch, name: str) -> str | None:
    found = getattr(touch, name) if hasattr(touch, name) else (touch.details or {}).get(name)
    return None if found is None else str(found)


def waits(rule: str, case: WaitCase, touches: Sequence[Touch], now: int) -> list[Found]:
    """Somebody waits from a beginning until the next end, or the next beginning, with the same keys; or gives up."""
    found: list[Found] = []
    relevant = [touch for touch in touches if touch.type in case.ends or is_beginning(case, touch)]
    for index, began in enumerate(relevant):
        if not is_beginning(case, began):
            continue
        key, start = [value(began, name) for name in case.match], began.occurred_ms
        later = relevant[index + 1 :]
        ended = next((touch for touch in later if [value(touch, name) for name in case.match] == key), None)
        if ended is not None and ended.occurred_ms > start + ms(case.give_up_after):
            ended = None
        gives_up = start + ms(case.give_up_after)
        end = ended.occurred_ms if ended else gives_up if now > gives_up else None
        waited = (now if end is None else end) - start
        if waited <= ms(case.longer_than):
            continue
        opened = start + ms(case.longer_than) + 1
        if end is None:
            waited = stepped(waited, ms(case.longer_than))
        found.append(
            (
                rule,
                began,
                "open" if end is None else "resolved",
                "/".join(part for part in key if part),
                opened,
                max(opened, start + waited) if end is None else end,
                end or 0,
                waited / 1000,
                references([began, *([ended] if ended else [])]),
            )
        )
    return found


def is_beginning(case: WaitCase, touch: Touch) -> bool:
    return touch.type == case.begins and (not case.channels or touch.channel in case.channels)


def repeats(rule: Rule, touches: Sequence[Touch], now: int) -> list[Found]:
    """Contacts chained by what they share (earlier names first), each within the window of the one before."""
    assert rule.repeat is not None
    within = ms(rule.repeat.within)
    chains: list[list[Touch]] = []
    about: dict[tuple[str, str | None], list[Touch]] = {}
    for touch in touches:
        if touch.type != rule.repeat.type:
            continue
        names = [(name, value(touch, name)) for name in rule.repeat.same if value(touch, name)]
        near = [about[n] for n in names if n in about and touch.occurred_ms - about[n][-1].occurred_ms <= within]
        chain = near[0] if near else []
        if not near:
            chains.append(chain)
        chain.append(touch)
        about.update(dict.fromkeys(names, chain))
    found: list[Found] = []
    for chain in chains:
        if len(chain) < rule.repeat.count:
            continue
        first, last, quiet = chain[0], chain[-1].occurred_ms, chain[-1].occurred_ms + within
        subject = next(value(first, name) for name in rule.repeat.same if value(first, name)) or ""
        opened = chain[rule.repeat.count - 1].occurred_ms
        status, resolved = ("resolved", quiet) if now > quiet else ("open", 0)
        found.append((rule.id, first, status, subject, opened, last, resolved, float(len(chain)), references(chain)))
    return found


def deadlines(rule: str, made: Sequence[Owed], now: int) -> list[Found]:
    """Promises whose time passed while they were owed."""
    found: list[Found] = []
    for owed in made:
        said, due = owed.first_passed() or (FOREVER, FOREVER)
        opened = max(due + 1, said)
        if opened > now:
            continue
        settled = owed.settling.occurred_ms if owed.settling else None
        overdue = settled - due if settled is not None else stepped(now - due, HOUR_MS)
        seen = settled if settled is not None else max(opened, due + overdue)
        status = "open" if settled is None else "resolved"
        evidence = references([owed.opening, *([owed.settling] if owed.settling else [])])
        found.append((rule, owed.opening, status, owed.subject, opened, seen, settled or 0, overdue / 1000, evidence))
    return found


def references(touches: Sequence[Touch]) -> tuple[str, ...]:
    return tuple(f"{touch.source}/{touch.event_id}" for touch in touches)
