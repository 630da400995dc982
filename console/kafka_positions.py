"""How far the topics reach and how far the consumer group has come."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import (
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    KafkaConnectionError,
    KafkaError,
    NodeNotReadyError,
    NotCoordinatorError,
)

from producers.emitters import explain, no_answer
from producers.servers import find_fault
from schemas.topics import TOPICS, TOUCHPOINTS, TOUCHPOINTS_REKEYED, Topic

Answer = TypeVar("Answer")
READ = (TOUCHPOINTS, TOUCHPOINTS_REKEYED)
"""The topics that the group reads."""
NO_COORDINATOR = (
    CoordinatorNotAvailableError, CoordinatorLoadInProgressError, NotCoordinatorError, NodeNotReadyError,
    KafkaConnectionError,
)  # fmt: skip
TIMEOUT_MS = 5_000
WAIT_MS = 100
READ_SECONDS = 1.0
MAX_BATCH_RECORDS = 1_000_000


@dataclass(frozen=True)
class TopicPosition:
    """One topic: `records` ever written (0 partitions: it does not exist); `lag` of the group, None if it reads not."""

    name: str
    partitions: int
    records: int
    lag: int | None


def make_position(
    name: str, reported_ends: Mapping[int, int], committed: Mapping[int, int] | None = None
) -> TopicPosition:
    """A topic's position, given the end that the broker reports for each partition and what the group has committed.

    A committed position past the end is the end: some brokers report the end short. Without `committed`, no lag.
    """
    if committed is None:
        return TopicPosition(name, len(reported_ends), sum(reported_ends.values()), None)
    ends = {number: max(end, committed.get(number, 0)) for number, end in reported_ends.items()}
    lag = sum(end - committed.get(number, 0) for number, end in ends.items())
    return TopicPosition(name, len(ends), sum(ends.values()), lag)


def read_positions(options: Mapping[str, Any], group: str, topics: Sequence[Topic] = TOPICS) -> list[TopicPosition]:
    """The position of each of these topics. Raises `Transient` when Kafka does not answer."""
    with reading(options, fetch_max_wait_ms=WAIT_MS) as consumer:
        committed = read_committed(options, group)
        numbers = {topic.name: consumer.partitions_for_topic(topic.name) or set() for topic in topics}
        ends = find_ends(consumer, [TopicPartition(name, each) for name, found in numbers.items() for each in found])
    return [
        make_position(topic.name, _of(topic.name, ends), _of(topic.name, committed) if topic.name in READ else None)
        for topic in topics
    ]


def read_lag(options: Mapping[str, Any], group: str) -> int:
    """How many records the group has yet to read or to commit, in all. Raises `Transient`."""
    read = [topic for topic in TOPICS if topic.name in READ]
    return sum(position.lag or 0 for position in read_positions(options, group, read))


@contextmanager
def reading(options: Mapping[str, Any], **more: Any) -> Iterator[Any]:
    """A consumer that is in no group. Raises `Transient` when Kafka does not answer, also while it is used."""
    fault = find_fault(options)
    if fault is not None:
        raise no_answer(options, fault)
    quiet = {"group_id": None, "enable_auto_commit": False, "metrics_enabled": False}
    try:
        consumer = KafkaConsumer(**options, **quiet, **more)
        try:
            yield consumer
        finally:
            consumer.close(autocommit=False)
    except (KafkaError, OSError) as error:
        raise no_answer(options, explain(error)) from error


def find_ends(consumer: Any, partitions: Sequence[Any], read_seconds: float = READ_SECONDS) -> dict[Any, int]:
    """The end of each partition as one finds it who reads on from the end that the broker reports.

    Some brokers report the place of the last batch's second record, so the last batch is read. What cannot be read
    within `read_seconds` keeps the end that is reported.
    """
    if not partitions:
        return {}
    ends: dict[Any, int] = consumer.end_offsets(partitions, timeout_ms=TIMEOUT_MS)
    begins = consumer.beginning_offsets(partitions, timeout_ms=TIMEOUT_MS)
    unread = {each for each in partitions if ends[each] > begins[each]}
    consumer.assign(list(unread))
    for each in unread:
        consumer.seek(each, ends[each] - 1)
    deadline = time.monotonic() + read_seconds
    with suppress(KafkaError):
        while unread and time.monotonic() < deadline:
            for each in consumer.poll(timeout_ms=WAIT_MS, max_records=MAX_BATCH_RECORDS):
                ends[each] = max(ends[each], consumer.position(each))
                unread.discard(each)
    return ends


def ask_again(ask: Callable[[], Answer], seconds: float = TIMEOUT_MS / 1000) -> Answer:
    """Return Kafka's answer about a group, asking until it has a broker for it, which takes a moment where Kafka is new
    or that broker has just died.

    Raises what the last question raised when that is not within `seconds`, and any other error at once.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return ask()
        except NO_COORDINATOR:
            if time.monotonic() > deadline:
                raise
        time.sleep(WAIT_MS / 1000)


def _of(name: str, offsets: Mapping[Any, int]) -> dict[int, int]:
    return {each.partition: offset for each, offset in offsets.items() if each.topic == name}


def read_committed(options: Mapping[str, Any], group: str) -> dict[Any, int]:
    """The next offset that a group reads of each partition where it has committed one. Raises KafkaError."""

    def ask() -> Any:
        # A new client each time: one that has found the group's broker never looks for another.
        admin = KafkaAdminClient(**options)
        try:
            return admin.list_group_offsets({group: None})
        finally:
            admin.close()

    found = ask_again(ask).get(group, {})
    return {place: position.offset for place, position in found.items() if position.offset >= 0}
