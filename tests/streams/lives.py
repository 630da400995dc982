"""A partition's worker without its shell: chunks in, flushes into memory, killed anywhere, started again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import msgspec

from schemas.catalogue import Source
from schemas.fact import Fact, check_fact
from schemas.topics import TOUCHPOINTS as TOPIC
from sinks import tables
from sinks.memory import MemoryWriter, Row
from sinks.state_store import record_flush
from sinks.tables import SEPARATOR, Table
from streams.assignment import adopt_orphans, find_orphans, take_over
from streams.episodes import Context
from streams.facts import FactBook
from streams.outcome import Outcome
from streams.policy import Policy
from streams.records import Arrival, DecodedChunk, Wire
from streams.rows import Rows
from streams.states import EpisodeState
from streams.touch import Touch
from tests.streams.oracle import Expected

GROUP = "journeys"
Seen = tuple[str, Touch]
"""(customer key, touch)"""


def to_arrival(offset: int, customer: str, touch: Touch, keeps: Mapping[str, Sequence[str]]) -> Arrival:
    """What the decoder would hand over: a touch that remembers no more than the rules look at."""
    identifiers = dict([customer.split(":", 1)])
    source = cast(Source, touch.source)
    wire = Wire(touch.event_id, source, touch.type, "", identifiers, touch.order_id, touch.case_id)
    wire.store_id, wire.agent_id, wire.channel = touch.store_id, touch.agent_id, touch.channel
    wire.properties = msgspec.Raw(b"{}")
    kept = keeps.get(touch.type)
    details = None if kept is None else {name: said for name, said in (touch.details or {}).items() if name in kept}
    return Arrival(offset, customer, msgspec.structs.replace(touch, details=details), wire)


def to_fact(touch: Touch) -> Fact:
    """What the topic `facts` would hold."""
    occurred_at = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=touch.occurred_ms)
    found = {"event_id": touch.event_id, "source": touch.source, "type": touch.type, "occurred_at": occurred_at}
    return check_fact({**found, "properties": touch.details})


class Life:
    """One worker after another at partition 0 of 1; what they write stays in `writer`.

    `log` is the topic: records before `flushed` are committed; of those before `ahead` a dead worker may have written.
    `facts` are told one after another.
    """

    def __init__(
        self, policy: Policy, log: Sequence[Seen], hot_customers: int = 100, facts: Sequence[Touch] = ()
    ) -> None:
        self.policy = policy
        self.log = log
        self.facts = facts
        self.told: Sequence[Touch] = ()
        self.book = FactBook()
        self.hot_customers = hot_customers
        self.writer = MemoryWriter()
        self.rules = policy.plan.rules
        self.flushed = 0
        self.ahead = 0
        self.said: set[tuple[object, ...]] = set()
        self.start()

    def start(self) -> None:
        """A new worker takes over and reads on from what was committed; it knows the facts that were told."""
        self.partition = take_over(self.writer, GROUP, 0, 1, self.policy, "worker", self.hot_customers)
        self.partition.context = Context(self.book)
        self.position = self.flushed

    def process(self, records: int, is_behind: bool = False) -> None:
        """Take the next chunk; behind, friction is looked for only when something else happens."""
        chunk = self.log[self.position : self.position + records]
        keeps = self.policy.plan.keeps
        arrivals = [to_arrival(self.position + n, *seen, keeps) for n, seen in enumerate(chunk)]
        self.position += len(chunk)
        outcome = self.partition.stitch(DecodedChunk(TOPIC, 0, self.position, arrivals))
        if not is_behind:
            self.partition.detect(outcome)
        self.hear(outcome)

    def advance(self, now_ms: int) -> None:
        """Let time pass."""
        self.hear(self.partition.advance(now_ms))

    def hear(self, outcome: Outcome) -> None:
        """Keep what of an outcome the topic of alerts would be told."""
        self.said.update(_told(customer, state) for customer, state in outcome.changes)

    def sweep(self) -> None:
        """Look for what former owners have written since this one took over."""
        adopt_orphans(self.partition, find_orphans(self.writer, GROUP, 0, 1))

    @property
    def processed(self) -> Sequence[Seen]:
        """What was taken so far."""
        return self.log[: self.position]

    def learn(self, count: int) -> None:
        """Be told the next facts."""
        known = len(self.told)
        self.told = self.facts[: known + count]
        for fact in self.told[known:]:
            self.partition.look_again(self.book.feed(to_fact(fact)))

    def flush(self, killed_after: int | None = None, *, is_late: bool = False) -> None:
        """Write what is unwritten. The worker may be killed after so many tables, or after all 7 before it commits.

        `is_late`: its last insert is done after the next worker has taken over.
        """
        self.advance(0)
        rows = Rows()
        origin = self.partition.gather(rows, self.rules, 0)
        written = blocks(rows)[:killed_after]
        late = [written.pop()] if written and is_late else []
        for table, columns in written:
            self.writer.insert(table, columns)
        if killed_after is None or killed_after >= 7:
            progress = (0, origin.version >> 32, self.partition.flushes, self.partition.time_ms, {TOPIC: self.position})
            record_flush(self.writer, GROUP, [progress], "worker")
        if killed_after is not None:
            self.ahead = max(self.ahead, self.position)
            self.start()
            for table, columns in late:
                self.writer.insert(table, columns)
        else:
            self.flushed = self.position

    def finish(self, now_ms: int) -> None:
        """Take all that is left, let time pass, write everything."""
        while self.position < len(self.log):
            self.process(3)
        self.learn(len(self.facts))
        self.advance(now_ms)
        self.sweep()
        while self.partition.is_unwritten:
            self.flush()
        untold = [row for row in self.writer.latest(tables.ALERTS) if _shown(row) not in self.said]
        assert not untold, "the table of alerts has what the topic was not told"


def _told(customer: str, state: EpisodeState) -> tuple[object, ...]:
    times = state.opened_ms, state.last_seen_ms, state.resolved_ms or 0
    return customer, state.episode_id, state.status, *times, SEPARATOR.join(state.evidence)


def _shown(row: Row) -> tuple[object, ...]:
    names = "customer_id episode_id status opened_at_ms last_seen_at_ms resolved_at_ms evidence_joined"
    return tuple(row[name] for name in names.split())


def blocks(rows: Rows) -> list[tuple[Table, Sequence[Sequence[Any]]]]:
    """Tables in the order in which a flush writes them."""
    found: list[tuple[Table, Sequence[Sequence[Any]]]] = [(tables.TOUCHPOINTS, rows.touchpoints.columns)]
    for table, values in (
        (tables.JOURNEYS, rows.journeys),
        (tables.PROMISES, rows.promises),
        (tables.ALERTS, rows.alerts),
        (tables.DEAD_LETTERS, rows.dead_letters),
        (tables.CUSTOMER_STATE, rows.states),
    ):
        found.append((table, list(zip(*values, strict=True))))
    return found


Rowset = frozenset[tuple[object, ...]]


def written(writer: MemoryWriter) -> Expected:
    """What the tables show, in the oracle's form. A journey's members are the touchpoints between its ends."""
    touchpoints = writer.latest(tables.TOUCHPOINTS)
    journeys = frozenset(_journey(row, touchpoints) for row in writer.latest(tables.JOURNEYS))
    return Expected(journeys, *said(writer))


def said(writer: MemoryWriter) -> tuple[Rowset, Rowset]:
    """The promises and episodes that the tables show."""
    return (
        frozenset(_promise(row) for row in writer.latest(tables.PROMISES)),
        frozenset(_episode(row) for row in writer.latest(tables.ALERTS) if row["status"] != "withdrawn"),
    )


def _journey(row: Row, touchpoints: Sequence[Row]) -> tuple[object, ...]:
    members = [
        f"{found['source']}/{found['event_id']}"
        for found in touchpoints
        if found["customer_id"] == row["customer_id"]
        and row["started_at_ms"] <= found["occurred_at_ms"] <= row["ended_at_ms"]
        and not found["late"]
    ]
    assert row["touchpoints"] == len(members), (row, members)
    promises = tuple(row[f"promises_{status}"] for status in ("open", "kept", "late", "broken"))
    names = ("customer_id", "journey_id", "started_at_ms", "ended_at_ms")
    return (
        *(row[name] for name in names),
        tuple(sorted(members)),
        row["status"],
        row["outcome"],
        promises,
        row["friction"],
        row["delight"],
    )


def _promise(row: Row) -> tuple[object, ...]:
    return tuple(row[name] for name in tables.PROMISES.columns[:13])


EPISODE = (
    "customer_id", "episode_id", "journey_id", "rule", "kind", "severity", "status", "subject", "opened_at_ms",
    "last_seen_at_ms", "resolved_at_ms", "threshold", "actual", "unit",
)  # fmt: skip


def _episode(row: Row) -> tuple[object, ...]:
    return (*(row[name] for name in EPISODE), tuple(row["evidence_joined"].split(SEPARATOR)))


@dataclass(frozen=True)
class Step:
    """A chunk of so many records, then perhaps time passing, a flush, or a death (before the n-th table is written)."""

    records: int
    then: str = ""
    amount: int = 0
    is_behind: bool = False


def live(life: Life, steps: Sequence[Step], now_ms: int, check: Callable[[], None] = lambda: None) -> Expected:
    """Go through the steps, then to the end; returns what the tables show. `check` is called after each flush."""
    for step in steps:
        life.process(step.records, step.is_behind)
        if step.then == "flush":
            life.flush()
            if life.position >= life.ahead:
                check()
        elif step.then == "die":
            life.start()
        elif step.then == "die while writing":
            life.flush(step.amount)
        elif step.then == "stand still while writing":
            life.flush(step.amount, is_late=True)
        elif step.then == "sweep":
            life.sweep()
        elif step.then == "pass":
            life.advance(life.partition.time_ms + step.amount)
        elif step.then == "learn":
            life.learn(step.amount)
    life.finish(max(now_ms, life.partition.time_ms))
    return written(life.writer)
