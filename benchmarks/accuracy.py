"""Accuracy: every episode of a simulated month against the simulator's own account of it, rule by rule.

The simulator's account is computed beside the life that it tells and shares nothing with the rules. Precision is the
share of episodes that truly were, recall the share of those that were which are found; an episode is right when its
id is (rule, customer, touchpoint with which it began) and it opened at the very millisecond.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from benchmarks.figures import Figure
from benchmarks.ground import Report
from producers.simulator import Shop
from schemas.durations import to_milliseconds
from schemas.fact import check_fact
from schemas.identifiers import customer_key
from schemas.moments import to_epoch_ms
from schemas.settings import Settings
from schemas.topics import TOUCHPOINTS
from streams.configuration import Configuration
from streams.decoding import Decoder
from streams.episodes import Context
from streams.facts import FactBook
from streams.friction.plan import Plan
from streams.outcome import Outcome
from streams.partition import Partition
from streams.rows import Rows
from streams.rules.loading import load_rule_set
from streams.touch import derive_id

CUSTOMERS = 100_000
DAYS = 30
CHUNK = 4_000
FLUSH_CHUNKS = 10
START = datetime(2026, 9, 1, tzinfo=UTC)


@dataclass
class Told:
    """One record as the decoder takes it."""

    offset: int
    value: bytes
    timestamp: int
    key: bytes = b""
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass
class Account:
    """Episodes by id: those that truly were and those that were found, each with when it opened, by rule."""

    true: dict[str, tuple[str, int]] = field(default_factory=dict)
    found: dict[str, tuple[str, int]] = field(default_factory=dict)

    def note(self, outcome: Outcome) -> None:
        """Take in what the worker would have told."""
        for _, state in outcome.changes:
            if state.status == "withdrawn":
                self.found.pop(state.episode_id, None)
            else:
                self.found[state.episode_id] = (state.rule, state.opened_ms)

    def judge(self) -> dict[str, tuple[int, int, int]]:
        """By rule: how many truly were, how many were found, how many of both are the same."""
        true, found = Counter(r for r, _ in self.true.values()), Counter(r for r, _ in self.found.values())
        same = Counter(rule for each, (rule, at) in self.true.items() if self.found.get(each) == (rule, at))
        return {rule: (true[rule], found[rule], same[rule]) for rule in sorted(true.keys() | found.keys())}


class Pass:
    """One partition that lives through the month, without any I/O."""

    def __init__(self, oldest_ms: int) -> None:
        rule_set = load_rule_set()
        settings = Settings(oldest_touchpoint=timedelta(milliseconds=oldest_ms))
        configuration = Configuration.of(settings, Plan(rule_set.rules, rule_set.calendars))
        self._decoder = Decoder(configuration.door, configuration.policy.plan.keeps)
        self._rules = configuration.rules
        self._book = FactBook()
        self._partition = Partition(0, 1, configuration.policy, 1, hot_customers=CUSTOMERS)
        self._partition.context = Context(self._book)
        self._chunk: list[Told] = []
        self._chunks = 0
        self.account = Account()

    def take(self, touchpoint: dict[str, Any]) -> None:
        """One touchpoint, in order."""
        moment_ms = to_epoch_ms(datetime.fromisoformat(touchpoint["occurred_at"]))
        value = json.dumps(touchpoint, separators=(",", ":")).encode()
        self._chunk.append(Told(len(self._chunk), value, moment_ms))
        if len(self._chunk) >= CHUNK:
            self.work()

    def state(self, fact: dict[str, Any]) -> None:
        """One fact, in order."""
        self.work()
        self._partition.look_again(self._book.feed(check_fact(fact)))

    def work(self) -> None:
        """Process what has come."""
        if not self._chunk:
            return
        decoded = self._decoder.decode(TOUCHPOINTS, 0, self._chunk, self._chunk[-1].timestamp)
        assert not decoded.refusals, decoded.refusals[0]
        self._chunk = []
        self.account.note(self._partition.process(decoded))
        self._chunks += 1
        if self._chunks % FLUSH_CHUNKS == 0:
            self._partition.gather(Rows(), self._rules, 0)

    def finish(self, now_ms: int) -> None:
        """Let time pass to the end."""
        self.work()
        self.account.note(self._partition.advance(now_ms))


def live(shop: Shop, report: Report, until_ms: int) -> tuple[Account, int]:
    """The account of a shop's whole life, and how many touchpoints it had."""
    passing, count = Pass(to_milliseconds(timedelta(days=36_500))), 0
    for kind, payload in shop.happenings():
        if kind == "touchpoint":
            passing.take(payload)
            count += 1
            if count % 50_000 == 0:
                report(f"{count:,} touchpoints lived through")
        elif kind == "fact":
            passing.state(payload)
        else:
            source, _, event_id = payload.anchor.partition("/")
            episode_id = derive_id(customer_key(payload.customer_id), payload.rule, source, event_id)
            passing.account.true[episode_id] = (payload.rule, payload.true_at_ms)
    passing.finish(until_ms)
    return passing.account, count


def measure(count: int | None, report: Report) -> list[Figure]:
    """Run over `count` customers (default 100,000)."""
    customers = count or CUSTOMERS
    end = START + timedelta(days=DAYS)
    shop = Shop(seed=7, start=START, end=end, customers=customers, personal=False)
    account, touchpoints = live(shop, report, to_epoch_ms(end))
    return [Figure("touchpoints", touchpoints, "touchpoints"), *_figures(account)]


def _figures(account: Account) -> Iterator[Figure]:
    for rule, (true, found, same) in account.judge().items():
        yield Figure(f"{rule}_precision", same / found if found else 0.0, f"of {found} found")
        yield Figure(f"{rule}_recall", same / true if true else 0.0, f"of {true} that were")
