"""Reading a topic from end to end beside the worker, and comparing it with the tables stretch by stretch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from console.kafka_positions import READ, TIMEOUT_MS, read_committed, reading
from schemas.errors import Transient
from schemas.identifiers import customer_name
from sinks.comparison import HourFound, SeenRecord, compare
from sinks.state_queries import FORGOTTEN
from sinks.writer import ClickHouseWriter
from streams.decoding import Decoder, Door
from streams.forgotten import BlockList
from streams.identity.hops import is_instruction
from streams.records import Record

STRETCH_RECORDS = 100_000
POLL_RECORDS = 10_000
FETCH_BYTES = 16 * 1024 * 1024
POLL_MS = 1_000
SILENCE_SECONDS = 20.0
"""A broker that has more and sends nothing for so long is not there."""
FOREVER_MS = 2**62

Tell = Callable[[int, int], object]
"""Told as it goes on: records read so far, and how many there are."""


@dataclass(frozen=True)
class Stretch:
    """Records of one partition that the worker has committed: offsets from `first`, before `end`."""

    place: Any
    first: int
    end: int


@dataclass(frozen=True)
class Reconciliation:
    """All hours that were compared. `forgotten`: records of erased customers, which were left out."""

    hours: tuple[HourFound, ...]
    forgotten: int = 0

    @property
    def faults(self) -> list[HourFound]:
        """The hours in which something is missing, doubled or strange."""
        return [hour for hour in self.hours if not hour.is_right]

    def total(self, name: str) -> int:
        """The sum of one of the hours' counts."""
        return sum(getattr(hour, name) for hour in self.hours)


def make_decoder(door: Door) -> Decoder:
    """The worker's, without its bounds of time and size, which may have changed since a record was taken."""
    return Decoder(Door(FOREVER_MS, FOREVER_MS, door.skew_bound_ms, 2**31, door.pseudonymiser))


def reconcile(
    options: Mapping[str, Any], group: str, clickhouse: ClickHouseWriter, decoder: Decoder, since_ms: int, tell: Tell
) -> Reconciliation:
    """Compare what came since `since_ms`, as far as the group has committed it. `options`: kafka-python's.

    Raises `Transient` when Kafka or ClickHouse does not answer.
    """
    hours: dict[tuple[str, int, datetime], HourFound] = {}
    block_list, forgotten = BlockList(), 0
    block_list.load(clickhouse.query(FORGOTTEN))
    with reading(options, fetch_max_bytes=FETCH_BYTES, max_poll_records=POLL_RECORDS) as consumer:
        stretches = find_stretches(consumer, read_committed(options, group), since_ms)
        total, done = sum(each.end - each.first for each in stretches), 0
        for stretch in stretches:
            for records in read_stretch(consumer, stretch):
                # Not every broker finds the first record of a time; some name an earlier one.
                records_since = [record for record in records if record.timestamp >= since_ms]
                seen, blocked = see(records_since, decoder, block_list)
                forgotten += blocked
                for found in compare(clickhouse, stretch.place.topic, stretch.place.partition, seen):
                    key = found.topic, found.partition, found.hour
                    hours.setdefault(key, HourFound(*key)).add(found)
                done += len(records)
                tell(done, total)
    return Reconciliation(tuple(hours[key] for key in sorted(hours)), forgotten)


def find_stretches(consumer: Any, committed: Mapping[Any, int], since_ms: int) -> list[Stretch]:
    """What there is to read. A topic that was made anew since and is shorter than what was committed is read whole."""
    places = [place for place in committed if place.topic in READ]
    places = [place for place in places if place.partition in (consumer.partitions_for_topic(place.topic) or ())]
    begins = consumer.beginning_offsets(places, timeout_ms=TIMEOUT_MS) if places else {}
    asked = dict.fromkeys(places, since_ms)
    after = consumer.offsets_for_times(asked, timeout_ms=TIMEOUT_MS) if places and since_ms > 0 else {}
    stretches = []
    for place in sorted(places):
        first = begins[place]
        if since_ms > 0:
            found = after.get(place)
            first = committed[place] if found is None else max(first, found.offset)
        if first < committed[place]:
            stretches.append(Stretch(place, first, committed[place]))
    return stretches


def read_stretch(consumer: Any, stretch: Stretch) -> Iterator[list[Record]]:
    """The records of a stretch, in lists of at most about `STRETCH_RECORDS`. Raises Transient when none come."""
    consumer.assign([stretch.place])
    consumer.seek(stretch.place, stretch.first)
    held: list[Record] = []
    last_ms = time.monotonic()
    while consumer.position(stretch.place) < stretch.end:
        came = consumer.poll(timeout_ms=POLL_MS).get(stretch.place, [])
        if came:
            last_ms = time.monotonic()
            held += [record for record in came if record.offset < stretch.end]
        elif time.monotonic() - last_ms > SILENCE_SECONDS:
            name = f"{stretch.place.topic}-{stretch.place.partition}"
            raise Transient(f"Kafka sends nothing of {name} from {consumer.position(stretch.place)} on")
        if len(held) >= STRETCH_RECORDS:
            yield held
            held = []
    if held:
        yield held


def see(records: list[Record], decoder: Decoder, block_list: BlockList) -> tuple[list[SeenRecord], int]:
    """Who and what each record is about, as the worker reads it; what it cannot read has no identity.

    What only tells a worker to do something is left out, and so are touchpoints of erased customers, which are counted.
    """
    records = [record for record in records if not is_instruction(record)]
    if not records:
        return [], 0
    # Whose chunk it is makes no difference to what is in it.
    read = {arrival.offset: arrival for arrival in decoder.decode("", 0, records, FOREVER_MS // 2).arrivals}
    seen, blocked = [], 0
    for record in records:
        arrival = read.get(record.offset)
        if arrival is None:
            seen.append(SeenRecord(record.timestamp, record.offset, "", *_guess(record)))
        elif block_list.holds(arrival.key):
            blocked += 1
        else:
            touch = arrival.touch
            name = customer_name(arrival.key)
            seen.append(SeenRecord(touch.received_ms, record.offset, name, touch.source, touch.event_id))
    return seen, blocked


class _Identity(msgspec.Struct):
    source: str
    event_id: str


def _guess(record: Record) -> tuple[str, str]:
    """What a refused record says that it is; its door may have been wider when it came."""
    try:
        found = msgspec.json.decode(record.value or b"", type=_Identity)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return "", ""
    return found.source, found.event_id
