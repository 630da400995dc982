"""How far the topics reach and how far the consumer group has come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from producers.emitters import explain, no_answer
from producers.servers import find_fault
from schemas.topics import TOPICS, TOUCHPOINTS, TOUCHPOINTS_REKEYED

GROUP_TOPICS = (TOUCHPOINTS, TOUCHPOINTS_REKEYED)
TIMEOUT_MS = 5_000


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


def read_positions(options: Mapping[str, Any], group: str) -> list[TopicPosition]:
    """The position of each of the platform's topics. Raises `Transient` when Kafka does not answer."""
    fault = find_fault(options)
    if fault is not None:
        raise no_answer(options, fault)
    try:
        consumer = KafkaConsumer(**options, group_id=None, enable_auto_commit=False, metrics_enabled=False)
    except (KafkaError, OSError) as error:
        raise no_answer(options, explain(error)) from error
    try:
        committed = _read_committed(options, group)
        return [_position(consumer, topic.name, committed) for topic in TOPICS]
    except KafkaError as error:
        raise no_answer(options, explain(error)) from error
    finally:
        consumer.close(autocommit=False)


def _position(consumer: Any, name: str, committed: Mapping[Any, int]) -> TopicPosition:
    partitions = consumer.partitions_for_topic(name) or set()
    if not partitions:
        return make_position(name, {})
    found = consumer.end_offsets([TopicPartition(name, number) for number in partitions], timeout_ms=TIMEOUT_MS)
    ends = {each.partition: offset for each, offset in found.items()}
    ours = {each.partition: offset for each, offset in committed.items() if each.topic == name}
    return make_position(name, ends, ours if name in GROUP_TOPICS else None)


def _read_committed(options: Mapping[str, Any], group: str) -> dict[Any, int]:
    admin = KafkaAdminClient(**options)
    try:
        answers = admin.list_group_offsets({group: None})
        return {each: found.offset for each, found in answers.get(group, {}).items() if found.offset >= 0}
    finally:
        admin.close()
