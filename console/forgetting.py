"""One erasure from beginning to end: look, tell the workers, erase, and read everything once more."""

from __future__ import annotations

import base64
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import uuid4

from console.forgetting_aliases import Aliases, find_aliases
from console.forgetting_letters import find_letters, find_notes
from console.forgetting_names import Asked, Needles
from console.forgetting_receipt import Alias, Place, Receipt, list_beyond
from console.forgetting_scan import scan_table
from console.forgetting_servers import PlannedPart, Server, plan_parts, purge_files
from console.forgetting_states import find_states
from console.forgetting_tables import PURGE_SECONDS, Person, find_episodes, uncovered
from console.forgetting_topics import Record, TopicScan, count_partitions, send
from console.forgetting_workers import SAID, Answer
from schemas.dead_letter import DeadLetter
from schemas.links import (
    ERASED,
    Link,
    decode_forgotten,
    encode_forgotten,
    encode_link,
    forgotten_hash,
    forgotten_record_key,
)
from schemas.partitioning import partition_of
from schemas.topics import ALERT_ACTIONS, DEAD_LETTERS, FRICTION_ALERTS, IDENTITY_LINKS, TOPICS
from sinks.forgotten_table import FORGOTTEN_IDENTIFIERS
from sinks.writer import ClickHouseWriter

COMPACTED = (IDENTITY_LINKS, FRICTION_ALERTS, ALERT_ACTIONS)
"""Topics that tombstones reach, in an order in which each says what to look for in the next."""
UNTOLD_SQL = """SELECT identifier_hash FROM journeys.forgotten WHERE receipt_id IN
(SELECT receipt_id FROM journeys.forgotten WHERE identifier_hash IN %(hashes)s)"""
ROUNDS = 5
"""A worker may have written once more while the first round was at it."""
ROUND_PAUSE_SECONDS = 1.0
"""It may still be moving what the customer shared with others."""

Tell = Callable[[str], object]


@dataclass
class Forgetting:
    """Erases one customer. `tell` is told in a few words what is being done.

    `clickhouse` is asked of all that there is, each of `servers` of what it holds, which is erased there.
    Call `look`, then `erase`; each fills the receipt. Both raise the errors of Kafka and ClickHouse; what was done by
    then stays done, and the same command goes on from there.
    """

    clickhouse: ClickHouseWriter
    servers: Sequence[Server]
    kafka: Mapping[str, Any]
    asked: Asked
    receipt: Receipt
    now_ms: int
    tell: Tell
    aliases: Aliases = Aliases(())
    _was_forgotten: bool = False
    _seen: Needles = Needles(())
    _orders: tuple[Record, ...] = ()
    _episodes: set[str] = field(default_factory=set)
    _scans: dict[str, TopicScan] = field(default_factory=dict)
    _raw: dict[str, int] = field(default_factory=dict)
    _stale: dict[str, int] = field(default_factory=dict)

    def look(self, *, with_raw_topics: bool) -> None:
        """Find out who it is, and count what there is of them. Changes nothing."""
        self.tell("looking for the customer's identifiers")
        self.aliases = find_aliases(self.clickhouse, self._asked_before())
        self.receipt.erased = [Alias.of(key) for key in self.aliases.keys]
        self.receipt.shared = [Alias.of(key, why) for key, why in self.aliases.shared.items()]
        for topic in COMPACTED:
            scan = self._scans[topic] = TopicScan(topic, self._is_about)
            self._read_on(scan)
            self.receipt.topics.append(Place(topic, found=len(scan.found)))
        planned = plan_parts(self.servers, self._person())
        for name, parts in planned.items():
            found = sum(count for _, count in self._count(name, parts))
            self.receipt.tables.append(Place(name, found=found))
        if with_raw_topics:
            for each in TOPICS:
                if each.name not in COMPACTED:
                    raw = TopicScan(each.name, self._is_about, is_compacted=False)
                    self._read_on(raw)
                    self._raw[each.name] = raw.count
        self._look_beyond()

    @property
    def is_unknown(self) -> bool:
        """Whether nothing at all is stored of the customer, nor was ever forgotten."""
        return not self._was_forgotten and self.aliases == Aliases(self.asked.keys) and not self.receipt.found

    def erase(self, wait: Callable[[Mapping[int, int]], Answer]) -> None:
        """Block, tell the workers, `wait` for them to be past these offsets of `identity-links`, erase, and verify."""
        self._block()
        self._orders = tuple(self._make_orders(count_partitions(self.kafka, IDENTITY_LINKS)))
        ends = send(self.kafka, self._orders)
        self.tell("waiting until the workers have obeyed")
        answer = wait({partition: offset for (_, partition), offset in ends.items()})
        self.receipt.workers = SAID[answer]
        for number in range(ROUNDS):
            if number:
                time.sleep(ROUND_PAUSE_SECONDS)
            self._erase_once()
            self._verify()
            if not self.receipt.left:
                break
        # The orders name the customer as well: as soon as nobody needs them they go too.
        if answer == "confirmed":
            self._bury(kept=frozenset())
        self._verify_topics(waiting=frozenset())
        self._look_beyond()

    def _asked_before(self) -> tuple[str, ...]:
        """What was asked for, and what a former erasure of the same customer has not seen to its end."""
        hashes = tuple(map(forgotten_hash, self.asked.keys))
        former = {row[0] for row in self.clickhouse.query(UNTOLD_SQL, {"hashes": hashes})}
        self._was_forgotten = bool(former)
        if not former:
            return self.asked.keys
        orders = TopicScan(IDENTITY_LINKS, lambda record, _: decode_forgotten(record.value or b"") is not None)
        self._read_on(orders)
        told = (decode_forgotten(value) for value in orders.found.values())
        return tuple(dict.fromkeys([*self.asked.keys, *(key for key in told if key and forgotten_hash(key) in former)]))

    def _needles(self) -> Needles:
        return Needles(self.aliases.keys, self.asked.plain)

    def _person(self) -> Person:
        needles = self._needles()
        self._episodes |= find_episodes(self.clickhouse, needles)
        letters, notes = find_letters(self.clickhouse, needles), find_notes(self.clickhouse, needles)
        return Person(needles, frozenset(self._episodes), letters, notes, find_states(self.clickhouse, needles))

    def _count(self, name: str, parts: Sequence[PlannedPart]) -> list[tuple[PlannedPart, int]]:
        """How many rows there are of what stands under one name, by each part that has any."""
        self.tell(f"counting {name}")
        return [(part, count) for part in parts if (count := part.count(self._needles()))]

    def _is_about(self, record: Record, headers: Sequence[tuple[str, bytes]]) -> bool:
        texts = [record.key, record.value, *(value for _, value in headers)]
        if record.topic == DEAD_LETTERS:
            texts += _inside(record.value)
        if any(map(self._seen.are_in, texts)):
            return True
        return bool(self._episodes) and self._is_of_episode(record)

    def _is_of_episode(self, record: Record) -> bool:
        if record.topic == FRICTION_ALERTS:
            return (record.key or b"").decode("utf-8", "replace") in self._episodes
        if record.topic != ALERT_ACTIONS:
            return False
        try:
            return json.loads(record.value or b"").get("episode_id") in self._episodes
        except (ValueError, AttributeError):
            return False

    def _read_on(self, scan: TopicScan) -> None:
        read = 0

        def follow(records: int) -> None:
            nonlocal read
            read += records
            self.tell(f"reading topic {scan.topic}: {read:,} records")

        self._seen = self._needles()
        if scan.topic == FRICTION_ALERTS:
            self._episodes |= find_episodes(self.clickhouse, self._needles())
        scan.read_on(self.kafka, follow)
        if scan.topic == FRICTION_ALERTS:
            self._episodes |= {key.decode("utf-8", "replace") for _, key in scan.found if key is not None}

    def _block(self) -> None:
        hashes = [forgotten_hash(key) for key in self.aliases.keys]
        columns: list[list[Any]] = [hashes, [self.receipt.receipt_id] * len(hashes), [self.now_ms] * len(hashes)]
        self.clickhouse.insert(FORGOTTEN_IDENTIFIERS, columns)

    def _make_orders(self, partitions: int) -> list[Record]:
        """The records by which workers untie what is shared, then forget what is the customer's alone."""
        at = partial(_place, partitions)
        unlinked = [
            Link(identifier, owner, "unlinked", self.now_ms, "console", str(uuid4()), self.receipt.by, ERASED)
            for identifier, owner in self.aliases.cut
        ]
        untying = [Record(IDENTITY_LINKS, at(each.identifier), each.record_key, encode_link(each)) for each in unlinked]
        # To every partition: touchpoints of others anywhere may carry the identifiers too.
        forgetting = [
            Record(IDENTITY_LINKS, partition, forgotten_record_key(key), encode_forgotten(key))
            for key in self.aliases.keys
            for partition in range(partitions)
        ]
        return [*untying, *forgetting]

    @property
    def _order_keys(self) -> frozenset[bytes]:
        return frozenset(each.key for each in self._orders if each.key is not None)

    def _erase_once(self) -> None:
        places = {place.name: place for place in self.receipt.tables}
        for scan in self._scans.values():
            self._read_on(scan)
        self._bury(kept=self._order_keys)
        planned = plan_parts(self.servers, self._person())
        for name, parts in planned.items():
            if name not in places:
                places[name] = Place(name)
                self.receipt.tables.append(places[name])
            place, counts = places[name], self._count(name, parts)
            place.found = max(place.found, sum(count for _, count in counts))
            for part, count in counts:
                self.tell(f"erasing from {part.server.label(name)}")
                part.erase()
                place.erased += count
        # Also of tables of which nothing was found: files that a merge has replaced may still hold what it left out.
        self.tell("having replaced files removed")
        tables = {part.part.table.name for parts in planned.values() for part in parts}
        self._stale = purge_files(self.servers, tables, time.monotonic() + PURGE_SECONDS)

    def _bury(self, kept: frozenset[bytes]) -> None:
        """Send a tombstone for all that was found in compacted topics, but for records with these keys."""
        for place in self.receipt.topics:
            scan = self._scans[place.name]
            tombstones = scan.tombstones(but=kept)
            self.tell(f"sending tombstones to {place.name}")
            send(self.kafka, tombstones)
            place.erased += sum(each.key not in self._order_keys for each in tombstones)
            place.found = max(place.found, place.erased)
            self._read_on(scan)

    def _verify(self) -> None:
        """Read tables and topics again; what is found is left."""
        self.receipt.left = {}
        by_table: Counter[str] = Counter()
        unplanned: set[str] = set()
        for server in self.servers:
            tables = server.tables()
            unplanned.update(uncovered(tables))
            for number, table in enumerate(tables, 1):
                self.tell(f"verifying {server.label(table.name)} ({number} of {len(tables)})")
                found = scan_table(server.clickhouse, table, self._needles())
                named = {server.label(f"{table.name}.{column}"): count for column, count in found.items()}
                self.receipt.left |= named
                by_table[table.name] += sum(found.values())
        for place in self.receipt.tables:
            place.left = by_table[place.name.split()[0]]
        for name in sorted(by_table.keys() - {place.name.split()[0] for place in self.receipt.tables}):
            note = "no rule says how to erase here" if name in unplanned else "holds no customers"
            self.receipt.tables.append(Place(name, left=by_table[name], note=note))
        self._verify_topics(waiting=self._order_keys)

    def _verify_topics(self, waiting: frozenset[bytes]) -> None:
        """Count what is left in compacted topics, but for records with these keys."""
        for place in self.receipt.topics:
            found = [key for _, key in self._scans[place.name].found]
            orders = sum(key in self._order_keys for key in found)
            place.left = sum(key not in waiting for key in found)
            place.note = f"{orders} of these wait for a worker" if orders and place.left else ""
            if place.left:
                self.receipt.left[f"topic {place.name}"] = place.left

    def _look_beyond(self) -> None:
        self.tell("looking at what is out of reach")
        logs = {place: count for each in self.servers for place, count in each.count_logs(self._needles()).items()}
        stale = {name: count for name, count in self._stale.items() if count}
        detached = sum(each.count_detached() for each in self.servers)
        self.receipt.beyond = list_beyond(self._raw, logs, stale, detached)


def _place(partitions: int, key: str) -> int:
    return partition_of(key.encode(), partitions)


def _inside(value: bytes | None) -> Iterator[bytes]:
    """The refused record that a record of topic `dead-letters` holds."""
    try:
        yield base64.b64decode(DeadLetter.model_validate_json(value or b"").raw)
    except ValueError:
        return
