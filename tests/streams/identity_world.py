"""Several partitions without their shell: topics in lists, workers that die anywhere, rows in memory."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import msgspec

from schemas.identifiers import KINDS, record_key, strongest
from schemas.links import Link, LinkRule, encode_link
from schemas.moments import format_epoch_ms
from schemas.partitioning import partition_of
from schemas.topics import IDENTITY_LINKS, TOUCHPOINTS, TOUCHPOINTS_REKEYED
from sinks import tables
from sinks.memory import MemoryWriter
from sinks.state_store import record_flush
from sinks.tables import Table
from streams.assignment import take_over
from streams.decoding import Decoder, Door
from streams.exchange import Exchange
from streams.flushing import gather
from streams.history_reader import HistoryReader
from streams.identity.choice import Limits
from streams.outcome import Outcome
from streams.partition import Partition
from streams.policy import Policy
from streams.row_blocks import blocks

GROUP = "journeys"
TOPICS = (TOUCHPOINTS, TOUCHPOINTS_REKEYED, IDENTITY_LINKS)
NOW_MS = 1_800_000_000_000
DOOR = Door(oldest_ms=10**13, ahead_ms=10**13, skew_bound_ms=60_000, max_bytes=10**6)
MOST_ROUNDS = 500

Act = tuple[str, str, LinkRule, int]
"""(identifier, owner, `unlinked` or `relinked`, when)."""


@dataclass
class Sent:
    """A record of a topic."""

    value: bytes | None
    key: bytes = b""
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp: int = NOW_MS
    offset: int = 0


class Told(NamedTuple):
    """A touchpoint: which identifiers it carries, and what it is."""

    identifiers: Mapping[str, str]
    occurred_ms: int
    event_id: str
    type: str = "visit_started"
    properties: Mapping[str, Any] = {}
    store_id: str | None = None

    @property
    def key(self) -> str:
        """The record key of its strongest identifier."""
        return record_key(*strongest(self.identifiers))

    def encoded(self) -> bytes:
        """Its wire form. It reached the door when it happened."""
        ordered = {kind: self.identifiers[kind] for kind in KINDS if kind in self.identifiers}
        body = {"event_id": self.event_id, "source": "web", "type": self.type, "identifiers": ordered}
        moment = format_epoch_ms(self.occurred_ms)
        said = {**body, "occurred_at": moment, "store_id": self.store_id, "properties": self.properties}
        return msgspec.json.encode(said)


class World:
    """Workers of `partitions` partitions, each processing, flushing and dying by itself.

    With `rng` a worker may have several: these flush and die together, hand each other touchpoints, and what comes
    under weaker identifiers waits now and then. Who has which is drawn anew when one dies.
    """

    def __init__(
        self,
        policy: Policy,
        partitions: int = 3,
        limits: Limits | None = None,
        hot: int = 50,
        rng: random.Random | None = None,
    ) -> None:
        self.policy = replace(policy, limits=limits or policy.limits)
        self.hot = hot
        self.rng = rng
        self._crews: dict[int, int] = {}
        self.writer = MemoryWriter()
        # To make these takes longer than most of what they are asked.
        self._decoder = Decoder(DOOR, policy.plan.keeps)
        self._reader = HistoryReader(self.writer, policy.plan.keeps)
        self.topics: defaultdict[tuple[str, int], list[Sent]] = defaultdict(list)
        self.moved = 0
        self.grow(partitions)

    def grow(self, partitions: int) -> None:
        """From now on there are so many partitions; records that are there stay where they are."""
        self.count = partitions
        self.workers: dict[int, Partition] = {}
        for number in range(partitions):
            self.start(number)

    def crew(self, number: int) -> list[int]:
        """The partitions of the worker that has this one."""
        return [each for each in self.workers if self._crews[each] == self._crews[number]]

    def start(self, number: int) -> None:
        """New workers take over what the worker of a partition had, and read on from what was committed."""
        for each in self.crew(number) if number in self.workers else [number]:
            self._crews[each] = each if self.rng is None else self.rng.randrange(2)
            self._take_over(each)

    def part(self, number: int) -> None:
        """Have a partition with a worker of its own, as after a rebalance; all have been written."""
        self._crews[number] = max(self._crews.values()) + 1

    def owner_of(self, key: str) -> int:
        """The partition of a key."""
        return partition_of(key.encode(), self.count)

    def _take_over(self, number: int) -> None:
        worker = take_over(self.writer, GROUP, number, self.count, self.policy, f"worker-{number}", self.hot)
        progress = [
            row for row in self.writer.rows(tables.PARTITION_PROGRESS) if row["partition"] == number and row["flush"]
        ]
        if progress:
            last = max(progress, key=lambda row: (row["epoch"], row["flush"]))
            worker.positions.update(last["positions"])
        self.workers[number] = worker

    def send(self, topic: str, owner: str, sent: Sent) -> None:
        """Append a record to the partition of whom it concerns."""
        log = self.topics[topic, partition_of(owner.encode(), self.count)]
        log.append(replace(sent, offset=len(log)))

    def tell(self, told: Iterable[Told]) -> None:
        """Touchpoints reach their topic."""
        for each in told:
            self.send(TOUCHPOINTS, each.key, Sent(each.encoded(), each.key.encode(), timestamp=each.occurred_ms))

    def act(self, link: Link) -> None:
        """A person's act."""
        self.send(IDENTITY_LINKS, link.identifier, Sent(encode_link(link), link.record_key))

    def perform(self, step: Told | Act) -> None:
        """A touchpoint, or a person's act."""
        if isinstance(step, Told):
            self.tell([step])
        else:
            identifier, owner, rule, when = step
            self.act(Link(identifier, owner, rule, when, "console", f"act-{when}", "dana"))

    def process(self, number: int, topic: str, records: int) -> bool:
        """Take the next chunk of a topic; returns whether there was one."""
        worker = self.workers[number]
        start = worker.positions.get(topic, 0)
        chunk = self.topics[topic, number][start : start + records]
        if not chunk:
            return False
        decoded = self._decoder.decode(topic, number, chunk, NOW_MS)
        assert not decoded.refusals, decoded.refusals
        exchange, is_behind = self._exchange(number), self.rng is not None and self.rng.randrange(2) == 0
        if not is_behind:
            self._follow(exchange, exchange.settle())
        outcome = worker.stitch(decoded, is_behind=is_behind)
        if not is_behind:
            worker.detect(outcome)
        self._follow(exchange, [(worker, outcome)])
        return True

    def _exchange(self, number: int) -> Exchange:
        return Exchange({each: self.workers[each] for each in self.crew(number)})

    def _follow(self, exchange: Exchange, steps: Iterable[tuple[Partition, Outcome]]) -> None:
        for worker, outcome in steps:
            self._send(outcome)
            if self.rng is not None:
                for _, heard in exchange.hear(outcome.links, worker.partitions):
                    self._send(heard)

    def _send(self, outcome: Outcome) -> None:
        self.moved += outcome.identity["moved"] + outcome.identity["forwarded"] + outcome.identity["returned"]
        for each in outcome.sendings:
            self.send(each.topic, each.owner_key, Sent(each.value, each.key, each.headers))

    def flush(self, number: int, tables_written: int = 100, *, is_recorded: bool = True) -> None:
        """One flush with its errands. With fewer tables than there are the worker is killed before the next one.

        Not `is_recorded`: it is killed when all is written, and before it has said so.
        """
        crew, exchange = self.crew(number), self._exchange(number)
        answers = {self.workers[each]: self._reader.answer(self.workers[each].identities.ask(10)) for each in crew}
        if self.rng is not None and self.rng.randrange(3) == 0:
            self.process(self.rng.choice(crew), self.rng.choice(TOPICS), 3)
        self._follow(exchange, exchange.apply(answers))
        self._follow(exchange, exchange.settle(is_behind=self.rng is not None and self.rng.randrange(2) == 0))
        self._follow(exchange, exchange.review())
        rows, progress = gather([self.workers[each] for each in crew], crew, self.policy.plan.rules, 0)
        filled = [(table, columns) for table, columns in blocks(rows) if columns and len(columns[0])]
        for table, columns in filled[:tables_written]:
            self.writer.insert(table, columns)
        if tables_written < len(filled):
            self._insert_part(*filled[tables_written])
        if tables_written < len(filled) or not is_recorded:
            self.start(number)
            return
        record_flush(self.writer, GROUP, progress, f"worker-{number}")

    def _insert_part(self, table: Table, columns: Sequence[Sequence[Any]]) -> None:
        """An insert makes a part for each partition of its table, and death may come between two of them."""
        if self.rng is not None:
            kept = [place for place in range(len(columns[0])) if self.rng.randrange(2)]
            self.writer.insert(table, [[column[place] for place in kept] for column in columns])

    def settle(self, records: int = 7) -> None:
        """Go on until nothing is left to do. Fails when that takes suspiciously long."""
        for _ in range(MOST_ROUNDS):
            busy = False
            for number in self.workers:
                for topic in TOPICS:
                    busy |= self.process(number, topic, records)
                busy |= any(each.is_unwritten or len(each.identities.ledger) for each in self.workers.values())
                self.flush(number)
            for worker in self.workers.values():
                busy |= not busy and worker.time_ms < worker.ahead_ms
                if not busy or worker.time_ms < worker.ahead_ms:
                    worker.advance(worker.ahead_ms)
            if not busy:
                return
        raise AssertionError("it goes on and on")

    def pass_time(self, now_ms: int) -> None:
        """Let time pass for every partition, and write what that changes."""
        for number, worker in self.workers.items():
            worker.advance(now_ms)
            while worker.is_unwritten:
                self.flush(number)

    def live(self, rng: random.Random, steps: int, deaths: bool = True) -> None:
        """So many steps in random order: chunks, flushes, deaths before and inside flushes."""
        for _ in range(steps):
            number = rng.randrange(self.count)
            match rng.randrange(8):
                case 0:
                    self.flush(number)
                case 1 if deaths:
                    self.start(number)
                case 2 if deaths:
                    self.flush(number, rng.randrange(12), is_recorded=False)
                case _:
                    self.process(number, rng.choice(TOPICS), rng.randrange(1, 6))

    def rows(self, table: Table) -> list[dict[str, Any]]:
        """What a view of a table shows."""
        return self.writer.latest(table)


def whose(world: World) -> dict[str, str]:
    """The customer of each touchpoint."""
    return {row["event_id"]: row["customer_id"] for row in world.rows(tables.TOUCHPOINTS)}


def members(world: World) -> set[tuple[str, str, tuple[str, ...]]]:
    """Each journey that the tables show: customer, id, and the event ids between its ends."""
    told = world.rows(tables.TOUCHPOINTS)
    found = set()
    for row in world.rows(tables.JOURNEYS):
        mine = tuple(
            sorted(
                each["event_id"]
                for each in told
                if each["customer_id"] == row["customer_id"]
                and row["started_at_ms"] <= each["occurred_at_ms"] <= row["ended_at_ms"]
                and not each["late"]
                and each["type"] != "customers_merged"
            )
        )
        assert len(mine) == row["touchpoints"], (row, mine)
        found.add((row["customer_id"], row["journey_id"], mine))
    return found
