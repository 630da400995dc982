"""Whether what was sent is where it belongs, once: ledger, topic, ClickHouse and dead letters as sets.

Shares no code with the worker: it reads the topic with kafka-python, the tables with clickhouse-driver, and compares
what it finds by itself.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from clickhouse_driver import Client
from kafka import KafkaConsumer, TopicPartition

from tests.faults.ledger import Entry, hash_value

QUIET_SECONDS = 1.5
SOURCES = frozenset({"web", "store", "support", "delivery", "messaging", "feedback"})
MODULUS = 1 << 64


class Record(NamedTuple):
    """A record of the topic."""

    key: bytes
    value: bytes


class Row(NamedTuple):
    """A touchpoint as analysts see it, of what its source said."""

    event_id: str
    source: str
    type: str
    customer: str
    occurred_ms: int
    properties: str


@dataclass(frozen=True)
class Seen:
    """What was found. `letters`: hashes of the values of the dead letters."""

    records: list[Record]
    rows: list[Row]
    letters: list[str]


@dataclass
class Findings:
    """What is wrong, by its kind: at most some examples of each, with where."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    altered: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    """How many there were of what: `ok`, `failed`, `unknown`, `unknown_present`, `records`, `sent_twice`, …"""
    checksums: dict[str, int] = field(default_factory=dict)
    """Of the touchpoints in the topic and of those in ClickHouse: equal when the sets are."""

    @property
    def is_clean(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.lost or self.doubled or self.altered or self.foreign) and len({*self.checksums.values()}) == 1

    def __str__(self) -> str:
        kinds = {name: getattr(self, name) for name in ("lost", "doubled", "altered", "foreign")}
        told = [f"{name} {len(found)}: {', '.join(found[:5])}" for name, found in kinds.items() if found]
        return "; ".join([*told, f"counts {dict(self.counts)}", f"checksums {self.checksums}"])


def check(ledger: Mapping[str, Entry], seen: Seen) -> Findings:
    """Hold what was found against the ledger.

    What is `ok` is in the topic, and what is in the topic is in the tables or the dead letters, once; what `failed` is
    nowhere, what is `unknown` may be or not be there, and nothing is there that is not in the ledger, or otherwise.
    """
    findings = Findings()
    findings.counts.update(entry.outcome for entry in ledger.values())
    expected = _check_topic(ledger, seen.records, findings)
    _check_tables(expected, seen, findings)
    return findings


def _check_topic(ledger: Mapping[str, Entry], records: Iterable[Record], findings: Findings) -> dict[str, Record]:
    """The records by id, each once: a producer that heard no answer may have sent one again."""
    found: dict[str, Record] = {}
    for record in records:
        identity = str(json.loads(record.value)["event_id"])
        entry = ledger.get(identity)
        findings.counts["records"] += 1
        findings.counts["sent_twice"] += identity in found
        found[identity] = record
        if entry is None or entry.outcome == "failed":
            findings.foreign.append(f"{identity} in the topic")
        elif (entry.key, entry.hash) != (record.key.decode(), hash_value(record.value)):
            findings.altered.append(f"{identity} in the topic")
    findings.counts["unknown_present"] = sum(ledger[each].outcome == "unknown" for each in found if each in ledger)
    for identity, entry in ledger.items():
        if entry.outcome == "ok" and identity not in found:
            findings.lost.append(f"{identity} from the topic")
    return found


def _check_tables(records: Mapping[str, Record], seen: Seen, findings: Findings) -> None:
    taken = {name: record for name, record in records.items() if json.loads(record.value)["source"] in SOURCES}
    wanted = {name: row_of(record) for name, record in taken.items()}
    refused = {hash_value(record.value): name for name, record in records.items() if name not in taken}
    _compare(Counter(row.event_id for row in seen.rows), Counter(wanted.keys()), "in ClickHouse", findings)
    findings.altered += [f"{row.event_id} in ClickHouse" for row in seen.rows if wanted.get(row.event_id, row) != row]
    # What is refused is kept as often as the topic has it: a dead letter is of a place.
    copies = Counter(refused[name] for each in seen.records if (name := hash_value(each.value)) in refused)
    _compare(Counter(refused.get(each, each) for each in seen.letters), copies, "in dead letters", findings)
    findings.counts.update(rows=len(seen.rows), letters=len(seen.letters))
    findings.checksums = {"topic": checksum(wanted.values()), "clickhouse": checksum(seen.rows)}


def _compare(found: Counter[str], wanted: Counter[str], where: str, findings: Findings) -> None:
    findings.lost += [f"{identity} {where}" for identity in sorted((wanted - found).keys())]
    findings.foreign += [f"{identity} {where}" for identity in sorted(found.keys() - wanted.keys())]
    findings.doubled += [f"{each} {where}" for each, count in sorted(found.items()) if count > max(wanted[each], 1)]


def find_disorder(ledger: Mapping[str, Entry], records: Iterable[Record]) -> list[str]:
    """What first came to the topic behind a later one of its key; the ledger is in the order of sending."""
    places = {identity: number for number, identity in enumerate(ledger)}
    firsts: dict[str, bytes] = {}
    for record in records:
        firsts.setdefault(str(json.loads(record.value)["event_id"]), record.key)
    latest: dict[bytes, str] = {}
    late = []
    for identity, key in firsts.items():
        before = latest.setdefault(key, identity)
        if places[identity] < places[before]:
            late.append(f"{identity} behind {before}")
        else:
            latest[key] = identity
    return late


def row_of(record: Record) -> Row:
    """What a record's touchpoint looks like to analysts."""
    body = json.loads(record.value)
    moment = datetime.fromisoformat(body["occurred_at"].replace("Z", "+00:00"))
    return Row(
        body["event_id"],
        body["source"],
        body["type"],
        body["identifiers"]["customer_id"],
        round(moment.timestamp() * 1000),
        _canonical(body["properties"]),
    )


def checksum(rows: Iterable[Row]) -> int:
    """A sum of hashes, which no order changes; a row that is there twice counts twice."""
    return sum(int.from_bytes(hashlib.sha256(repr(row).encode()).digest()[:8]) for row in rows) % MODULUS


def _canonical(properties: Any) -> str:
    return json.dumps(properties, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def read_tables(clickhouse: Mapping[str, Any]) -> tuple[list[Row], list[str]]:
    """The rows and the letters, as `Seen` has them, that there are now."""
    client = Client(**clickhouse)
    try:
        rows = client.execute(
            "SELECT event_id, source, type, customer_id, toUnixTimestamp64Milli(occurred_at), properties "
            "FROM analytics.touchpoints"
        )
        letters = client.execute("SELECT lower(hex(SHA256(raw))) FROM journeys.dead_letters FINAL")
    finally:
        client.disconnect()
    return [Row._make([*row[:-1], _canonical(json.loads(row[-1]))]) for row in rows], [row[0] for row in letters]


def read_topic(kafka: Mapping[str, Any], topic: str, partitions: int) -> list[Record]:
    """All records of a topic into which nobody sends any more."""
    return list(_read_topic(kafka, topic, partitions))


def _read_topic(options: Mapping[str, Any], topic: str, partitions: int) -> Iterable[Record]:
    consumer = KafkaConsumer(**options, group_id=None, enable_auto_commit=False, metrics_enabled=False)
    try:
        places = [TopicPartition(topic, number) for number in range(partitions)]
        consumer.assign(places)
        consumer.seek_to_beginning(*places)
        seen: set[tuple[int, int]] = set()
        last = time.monotonic()
        while time.monotonic() - last < QUIET_SECONDS:
            for record in (each for records in consumer.poll(timeout_ms=100).values() for each in records):
                if (record.partition, record.offset) not in seen:
                    seen.add((record.partition, record.offset))
                    yield Record(record.key, record.value)
                    last = time.monotonic()
    finally:
        consumer.close(autocommit=False)
