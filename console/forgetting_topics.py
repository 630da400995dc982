"""What Kafka keeps of a customer: compacted topics read to their ends, tombstones, and the word to the workers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from kafka import KafkaProducer, TopicPartition
from kafka.errors import KafkaError

from console.kafka_positions import MAX_BATCH_RECORDS, WAIT_MS, find_ends, reading
from producers.emitters import explain, no_answer
from producers.servers import find_fault
from schemas.errors import Misconfigured, Transient

STALLED_SECONDS = 15.0
SEND_SECONDS = 30.0


class Record(NamedTuple):
    """A record to be sent to a partition; without a value it is a tombstone."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()


Seen = Callable[[Record, Sequence[tuple[str, bytes]]], bool]
"""Whether a record (with its headers) is about the customer. Never asked about tombstones."""
Told = Callable[[int], object]
"""Told how many records were read."""


@dataclass
class TopicScan:
    """One topic, read from its start and on, with what is about the customer.

    Of a compacted topic only the last record of a key counts. `found` holds the keys of records that do.
    """

    topic: str
    is_about: Seen
    is_compacted: bool = True
    found: dict[tuple[int, bytes | None], bytes] = field(default_factory=dict)
    count: int = 0
    _positions: dict[int, int] = field(default_factory=dict)

    def read_on(self, options: Mapping[str, Any], tell: Told = lambda _: None) -> None:
        """Read to the end as it is now. Raises `Transient` when Kafka does not answer or an end cannot be reached."""
        with reading(options, fetch_max_wait_ms=WAIT_MS, auto_offset_reset="earliest") as consumer:
            places = [TopicPartition(self.topic, each) for each in consumer.partitions_for_topic(self.topic) or ()]
            ends = find_ends(consumer, places)
            begins = consumer.beginning_offsets(places) if places else {}
            for place in places:
                start = max(self._positions.get(place.partition, 0), begins[place])
                self._positions[place.partition] = start
            self._read(consumer, ends, tell)

    def _read(self, consumer: Any, ends: Mapping[Any, int], tell: Told) -> None:
        unread = {each for each in ends if self._positions[each.partition] < ends[each]}
        consumer.assign(list(unread))
        for each in unread:
            consumer.seek(each, self._positions[each.partition])
        moved = time.monotonic()
        while unread:
            batches = consumer.poll(timeout_ms=WAIT_MS, max_records=MAX_BATCH_RECORDS)
            for place, records in batches.items():
                for record in records:
                    self._take(place.partition, record)
                tell(len(records))
            for each in tuple(unread):
                position = consumer.position(each)
                if position > self._positions[each.partition]:
                    self._positions[each.partition], moved = position, time.monotonic()
                if position >= ends[each]:
                    unread.discard(each)
            if time.monotonic() - moved > STALLED_SECONDS:
                where = ", ".join(f"{each.partition} at {self._positions[each.partition]}" for each in unread)
                raise Transient(f"topic {self.topic} cannot be read to its end: partition {where}")

    def _take(self, partition: int, record: Any) -> None:
        is_about = record.value is not None and self.is_about(
            Record(self.topic, partition, record.key, record.value), record.headers
        )
        self.count += is_about
        if not self.is_compacted:
            return
        if is_about:
            self.found[partition, record.key] = record.value
        else:
            self.found.pop((partition, record.key), None)

    def tombstones(self, *, but: Iterable[bytes] = ()) -> list[Record]:
        """What has the broker drop what was found, but for records with one of these keys."""
        kept = set(but)
        return [
            Record(self.topic, partition, key, None)
            for partition, key in self.found
            if key not in kept and key is not None
        ]


def send(
    options: Mapping[str, Any], records: Sequence[Record], what: str = "all that is to be erased there"
) -> dict[tuple[str, int], int]:
    """Send records, wait until the brokers have them, and return the highest offset by (topic, partition).

    Raises `Transient`, naming `what`, when not all of them are known to be there.
    """
    if not records:
        return {}
    fault = find_fault(options)
    if fault is not None:
        raise no_answer(options, fault)
    told = {"acks": "all", "enable_idempotence": True, "allow_auto_create_topics": False, "metrics_enabled": False}
    try:
        producer = KafkaProducer(**{"linger_ms": 5, "max_block_ms": 10_000, **options, **told})
    except (KafkaError, OSError, ValueError) as error:
        raise no_answer(options, explain(error)) from error
    ends: dict[tuple[str, int], int] = {}
    try:
        sent = [
            producer.send(each.topic, each.value, each.key, list(each.headers), partition=each.partition)
            for each in records
        ]
        for record, future in zip(records, sent, strict=True):
            place = record.topic, record.partition
            ends[place] = max(ends.get(place, -1), future.get(timeout=SEND_SECONDS).offset)
    except KafkaError as error:
        raise Transient(f"Kafka has not taken {what}: {explain(error)}") from error
    finally:
        with suppress(KafkaError):
            producer.close(timeout=SEND_SECONDS)
    return ends


def count_partitions(options: Mapping[str, Any], topic: str) -> int:
    """How many partitions a topic has. Raises `Misconfigured` when there is no such topic."""
    with reading(options) as consumer:
        found = consumer.partitions_for_topic(topic)
    if not found:
        raise Misconfigured(f"topic {topic} is missing: run `journeys migrate`")
    return len(found)
