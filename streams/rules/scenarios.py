"""Running scenarios: each goes through the real code, in time and out of order, once and twice.

Its touchpoints become the JSON that a source would send, are decoded, and are lived through by a customer. Pure: time
is what the scenario says.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import permutations
from typing import Any, NamedTuple

import msgspec

from schemas.durations import to_milliseconds
from schemas.fact import check_fact
from schemas.hints import did_you_mean
from schemas.identifiers import record_key
from schemas.wire import encode_touchpoint
from streams.customer import Customer
from streams.decoding import Decoder, Door
from streams.episodes import Context
from streams.facts import FactBook
from streams.friction import Plan
from streams.policy import Policy, Verdict
from streams.rules.calendars import Calendar
from streams.rules.model import Rule
from streams.rules.scenario_model import CUSTOMER, Event, Expected, Scenario
from streams.states import EpisodeState
from streams.stitching import StitchingRules
from streams.touch import Touch

DAY_MS = 86_400_000
MOST_PERMUTED = 5
LATER = "after what came later: "
"""Begins a fault that is measured at `expect_later`."""
SHUFFLES = 20
# Nothing in a scenario is too late: how late is late is not the rules' affair.
_STITCHING = StitchingRules(gap_ms=14 * DAY_MS, max_gap_ms=90 * DAY_MS, lateness_ms=3_650 * DAY_MS)
_DOOR = Door(oldest_ms=10**15, ahead_ms=10**15, skew_bound_ms=10**15, max_bytes=2**20)
_KEY = record_key("customer_id", CUSTOMER)


class Record(NamedTuple):
    """A Kafka record as far as decoding looks at it."""

    offset: int
    key: bytes
    value: bytes
    timestamp: int
    headers: Sequence[tuple[str, bytes]] = ()


class Stage:
    """What a scenario is played on: a customer, facts, and the time."""

    def __init__(self, policy: Policy, rule_id: str) -> None:
        self._customer = Customer(_KEY, policy)
        self._facts = FactBook()
        self._rule_id = rule_id
        self._now_ms = 0

    def learn(self, facts: Iterable[dict[str, Any]]) -> None:
        """Take facts."""
        for fact in facts:
            self._facts.feed(check_fact(fact))

    def take(self, touches: Iterable[Touch]) -> list[Verdict]:
        """Take one chunk of touchpoints and look."""
        verdicts: list[Verdict] = []
        for touch in touches:
            self._now_ms = max(self._now_ms, touch.occurred_ms)
            verdicts.append(self._customer.add(touch, self._now_ms))
        self.look()
        return verdicts

    def look(self, now_ms: int = 0) -> None:
        """Look at a time, or now. A customer of whom nothing is known is not looked at."""
        self._now_ms = max(self._now_ms, now_ms)
        if self._customer.log:
            self._customer.review(self._now_ms, Context(self._facts))

    def pass_until(self, moment_ms: int) -> str | None:
        """Let time pass as it does where nothing happens: from one due time to the next. Returns what went wrong."""
        while self._customer.log and self._customer.due_ms <= moment_ms:
            due_ms = self._customer.due_ms
            self.look(due_ms)
            if self._customer.due_ms <= due_ms:
                return "a due time does not pass"
        return None

    def found(self) -> list[EpisodeState]:
        """All episodes of the rule, withdrawn ones too, in order."""
        states = (state for state in self._customer.episodes.states.values() if state.rule == self._rule_id)
        return sorted(states, key=lambda state: (state.opened_ms, state.anchor_ms, state.subject, state.episode_id))

    def standing(self) -> list[EpisodeState]:
        """The same without those withdrawn, and without how they came to be."""
        kept = (state for state in self.found() if state.status != "withdrawn")
        return [msgspec.structs.replace(state, change="opened") for state in kept]


def run_scenario(
    scenario: Scenario, rule_id: str, rules: Iterable[Rule], calendars: Mapping[str, Calendar]
) -> list[str]:
    """How what happens differs from what the scenario expects, in words; nothing where it does not.

    Where nothing arrives later, it also says whether another order of arrival, other chunks or touchpoints that come
    twice make a difference.
    """
    kept = tuple(rules)
    ids = [rule.id for rule in kept if rule.enabled]
    if rule_id not in ids:
        return [f"there is no rule {rule_id!r} that is on; {did_you_mean(rule_id, ids) or 'write it first'}"]
    plan = Plan(kept, calendars)
    play = _Play(scenario, Policy(_STITCHING, plan), rule_id, Decoder(_DOOR, plan.keeps))
    return play.run()


class _Play:
    """One scenario with its touchpoints decoded."""

    def __init__(self, scenario: Scenario, policy: Policy, rule_id: str, decoder: Decoder) -> None:
        self._scenario = scenario
        self._policy = policy
        self._rule_id = rule_id
        self._until_ms = scenario.start_ms + scenario.until_ms
        self._faults: list[str] = []
        self._touches = [*self._decode(decoder, scenario.touchpoints, "t")]
        self._later = [*self._decode(decoder, scenario.later, "later")]
        self._facts = [event.record(f"f{n}", scenario.start_ms) for n, event in enumerate(scenario.facts, 1)]

    def _decode(self, decoder: Decoder, events: Sequence[Event], prefix: str) -> Iterator[Touch]:
        start_ms = self._scenario.start_ms
        for number, event in enumerate(events, 1):
            value = encode_touchpoint(event.record(f"{prefix}{number}", start_ms))
            record = Record(number, _KEY.encode(), value, start_ms + event.at_ms)
            chunk = decoder.decode("touchpoints", 0, [record], self._until_ms)
            yield from (arrival.touch for arrival in chunk.arrivals)
            self._faults += [f"touchpoint {prefix}{number} is refused: {refusal.detail}" for refusal in chunk.refusals]

    def run(self) -> list[str]:
        if self._faults:
            return self._faults
        stage = self._play(self._touches)
        faults = compare(self._scenario.expect, _standing(stage.found()), self._scenario.start_ms)
        faults += self._compare_lived(stage)
        if self._scenario.expect_later is None:
            return faults + self._compare_orders(stage.standing())
        stage.take(self._later)
        stage.look(self._until_ms)
        found = compare(self._scenario.expect_later, stage.found(), self._scenario.start_ms)
        faults += [f"{LATER}{fault}" for fault in found]
        return faults + self._differ(
            self._play([*self._touches, *self._later]), stage.standing(), "had it come in time"
        )

    def _play(self, touches: Sequence[Touch], chunk: int = 0, facts_last: bool = False) -> Stage:
        stage = Stage(self._policy, self._rule_id)
        if not facts_last:
            stage.learn(self._facts)
        size = chunk or max(len(touches), 1)
        for start in range(0, len(touches), size):
            stage.take(touches[start : start + size])
        stage.learn(self._facts if facts_last else ())
        stage.look(self._until_ms)
        return stage

    def _compare_lived(self, expected: Stage) -> list[str]:
        """Touchpoints and facts each at its time, and time passing between them."""
        stage = Stage(self._policy, self._rule_id)
        start_ms = self._scenario.start_ms
        moments: list[tuple[int, int, Touch | dict[str, Any]]] = [(t.occurred_ms, 1, t) for t in self._touches]
        moments += [(start_ms + e.at_ms, 0, f) for e, f in zip(self._scenario.facts, self._facts, strict=True)]
        for moment_ms, _, happened in sorted(moments, key=lambda each: each[:2]):
            fault = stage.pass_until(moment_ms)
            if fault is not None:
                return [fault]
            if isinstance(happened, Touch):
                stage.take([happened])
            else:
                stage.learn([happened])
                stage.look(moment_ms)
        fault = stage.pass_until(self._until_ms)
        stage.look(self._until_ms)
        return [fault] if fault else self._differ(stage, expected.standing(), "as time passes, looked at when due")

    def _compare_orders(self, expected: list[EpisodeState]) -> list[str]:
        touches = self._touches
        for number, order in enumerate(_orders(touches)):
            stage = self._play(order, chunk=number % len(order) + 1, facts_last=number % 2 == 1)
            names = ", ".join(touch.event_id for touch in order)
            faults = self._differ(stage, expected, f"arriving as {names}")
            if faults:
                return faults
        twice = [touch for touch in touches for _ in range(2)] + touches[::-1]
        return self._differ(self._play(twice, chunk=1), expected, "each arriving three times")

    def _differ(self, stage: Stage, expected: list[EpisodeState], how: str) -> list[str]:
        found, start_ms = stage.standing(), self._scenario.start_ms
        if len(found) != len(expected):
            return [f"{how}: {_describe(found, start_ms)} instead of {_describe(expected, start_ms)}"]
        pairs = zip(found, expected, strict=True)
        return [f"{how}: {fault}" for one, other in pairs for fault in _tell_apart(one, other, start_ms)]


def _tell_apart(found: EpisodeState, expected: EpisodeState, start_ms: int) -> Iterator[str]:
    for name in EpisodeState.__struct_fields__:
        one, other = getattr(found, name), getattr(expected, name)
        if one != other:
            shown = [show_span(each, start_ms) if name.endswith("_ms") else _show(each) for each in (one, other)]
            yield f"{name} is {shown[0]} instead of {shown[1]} ({_sum_up(expected, start_ms)})"


def _standing(states: Iterable[EpisodeState]) -> list[EpisodeState]:
    return [state for state in states if state.status != "withdrawn"]


def _orders(touches: Sequence[Touch]) -> Iterator[Sequence[Touch]]:
    """Every order of a few touchpoints; of many, some that are always the same."""
    if len(touches) <= MOST_PERMUTED:
        yield from permutations(touches)
        return
    for seed in range(SHUFFLES):
        yield sorted(touches, key=lambda touch: hashlib.sha256(f"{seed}/{touch.reference}".encode()).digest())


def compare(expected: Sequence[Expected], found: Sequence[EpisodeState], start_ms: int) -> list[str]:
    """How episodes differ from what was expected of them, in words."""
    if len(expected) != len(found):
        return [f"expected {_count(len(expected))}, found {_describe(found, start_ms)}"]
    faults: list[str] = []
    for number, (wanted, state) in enumerate(zip(expected, found, strict=True), 1):
        place = f"episode {number}: " if len(expected) > 1 else ""
        faults += [f"{place}{fault}" for fault in _compare_one(wanted, state, start_ms)]
    return faults


def _compare_one(wanted: Expected, state: EpisodeState, start_ms: int) -> Iterator[str]:
    for name in sorted(wanted.model_fields_set, key=list(Expected.model_fields).index):
        value = getattr(wanted, name)
        if name in ("opened", "last_seen", "resolved", "promised"):
            found_ms = getattr(state, f"{name}_ms")
            wanted_ms = None if value is None else start_ms + to_milliseconds(value)
            if found_ms != wanted_ms:
                yield f"{name}: expected {show_span(wanted_ms, start_ms)}, found {show_span(found_ms, start_ms)}"
            continue
        found = getattr(state, name)
        if found != value:
            yield f"{name}: expected {_show(value)}, found {_show(found)}"


def _show(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def _count(number: int) -> str:
    return "no episode" if number == 0 else "one episode" if number == 1 else f"{number} episodes"


def _describe(states: Sequence[EpisodeState], start_ms: int) -> str:
    return "; ".join(_sum_up(state, start_ms) for state in states) or "nothing"


def _sum_up(state: EpisodeState, start_ms: int) -> str:
    opened, resolved = show_span(state.opened_ms, start_ms), show_span(state.resolved_ms, start_ms)
    ended = "" if state.resolved_ms is None else f" until {resolved}"
    return f"{state.subject} {state.status} from {opened}{ended}, {state.severity}, {state.actual:g} {state.unit}"


def show_span(moment_ms: int | None, start_ms: int) -> str:
    """A moment as a span from the start, as scenario files write it: `1d 2h 3m 4s 5ms`."""
    if moment_ms is None:
        return "never"
    rest, parts = abs(moment_ms - start_ms), []
    for unit, size in (("d", DAY_MS), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)):
        count, rest = divmod(rest, size)
        parts += [f"{count}{unit}"] if count else []
    return ("-" if moment_ms < start_ms else "") + (" ".join(parts) or "0s")
