"""How far the topics reach and how far the consumer group has come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from producers.emitters import explain
from schemas.errors import Transient
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


def lag_records(ends: Mapping[int, int], committed: Mapping[int, int | None]) -> int:
    """Records that the group has not committed. A position past the end is the end: some brokers report it short."""
    return sum(max(0, end - (committed.get(partition) or 0)) for partition, end in ends.items())


def read_positions(options: Mapping[str, Any], group: str) -> list[TopicPosition]:
    """The position of each of the platform's topics. Raises `Transient` when Kafka does not answer."""
    try:
        consumer = KafkaConsumer(**options, group_id=None, enable_auto_commit=False, metrics_enabled=False)
    except (KafkaError, OSError) as error:
        raise _silent(options, error) from error
    try:
        committed = _read_committed(options, group)
        return [_position(consumer, topic.name, committed) for topic in TOPICS]
    except KafkaError as error:
        raise _silent(options, error) from error
    finally:
        consumer.close(autocommit=False)


def _silent(options: Mapping[str, Any], error: Exception) -> Transient:
    servers = ",".join(options["bootstrap_servers"])
    return Transient(f"no Kafka server answers at {servers}: is it up, and is JOURNEYS_KAFKA right? ({explain(error)})")


def _position(consumer: Any, name: str, committed: Mapping[Any, int]) -> TopicPosition:
    partitions = consumer.partitions_for_topic(name) or set()
    if not partitions:
        return TopicPosition(name, 0, 0, None)
    found = consumer.end_offsets([TopicPartition(name, number) for number in partitions], timeout_ms=TIMEOUT_MS)
    ends = {each.partition: offset for each, offset in found.items()}
    lag = None
    if name in GROUP_TOPICS:
        lag = lag_records(ends, {number: committed.get(TopicPartition(name, number)) for number in ends})
    return TopicPosition(name, len(ends), sum(ends.values()), lag)


def _read_committed(options: Mapping[str, Any], group: str) -> dict[Any, int]:
    admin = KafkaAdminClient(**options)
    try:
        answers = admin.list_group_offsets({group: None})
        return {each: found.offset for each, found in answers.get(group, {}).items() if found.offset >= 0}
    finally:
        admin.close()
