"""Creates and checks the platform's Kafka topics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import KafkaError

from producers.emitters import explain, name_servers, no_answer
from producers.servers import find_fault
from schemas.errors import Misconfigured, Transient
from schemas.topics import TOPICS, Topic, configuration_of, partitions_of

_ALREADY_EXISTS = 36
MOST_COPIES = 3


def create_topics(options: Mapping[str, Any], partitions: int, replication_factor: int | None = None) -> list[str]:
    """Create what is missing and return its names; topics that exist are left as they are (`check_topics` judges them).

    `options` are kafka-python's. Without `replication_factor` a topic has a copy on each server, up to three. Raises
    `Transient` when no server answers, `Misconfigured` when one refuses.
    """
    with _admin(options) as admin:
        existing = _partition_counts(admin)
        missing = [topic for topic in TOPICS if topic.name not in existing]
        copies = replication_factor or min(MOST_COPIES, len(admin.describe_cluster()["brokers"]))
        wanted = [_new_topic(topic, partitions, copies) for topic in missing]
        answers = admin.create_topics(wanted, raise_errors=False)["topics"] if wanted else []
    refused = [answer for answer in answers if answer["error_code"] not in (0, _ALREADY_EXISTS)]
    if refused:
        told = "; ".join(f"{answer['name']}: {_said(answer)}" for answer in refused)
        raise Misconfigured(f"Kafka refused to create topics: {told}")
    return [answer["name"] for answer in answers if answer["error_code"] == 0]


def check_topics(options: Mapping[str, Any]) -> int:
    """How many partitions the touchpoint topics have. Raises `Misconfigured`, one line, when topics are not usable."""
    with _admin(options) as admin:
        return judge_partitions(_partition_counts(admin))


def judge_partitions(counts: Mapping[str, int]) -> int:
    """The common partition count, given the count of each existing topic. Raises `Misconfigured`."""
    missing = [topic.name for topic in TOPICS if topic.name not in counts]
    if missing:
        raise Misconfigured(f"Kafka has no topic {', '.join(missing)}: create them with `journeys migrate`")
    fixed = [topic for topic in TOPICS if topic.partitions is not None and counts[topic.name] != topic.partitions]
    if fixed:
        topic = fixed[0]
        raise Misconfigured(
            f"topic {topic.name} has {counts[topic.name]} partitions and must have {topic.partitions}: "
            "delete it and create it with `journeys migrate`"
        )
    together = {topic.name: counts[topic.name] for topic in TOPICS if topic.partitions is None}
    if len(set(together.values())) > 1:
        stated = ", ".join(f"{name} {count}" for name, count in together.items())
        raise Misconfigured(
            f"these topics must have equally many partitions: {stated}: add partitions to the smaller ones"
        )
    return next(iter(together.values()))


@contextmanager
def _admin(options: Mapping[str, Any]) -> Iterator[KafkaAdminClient]:
    fault = find_fault(options)
    if fault is not None:
        raise no_answer(options, fault)
    try:
        admin = KafkaAdminClient(**options)
    except KafkaError as error:
        raise no_answer(options, explain(error)) from error
    try:
        yield admin
    except KafkaError as error:
        raise Transient(f"Kafka at {name_servers(options)} failed: {explain(error)}") from error
    finally:
        admin.close()


def _partition_counts(admin: KafkaAdminClient) -> dict[str, int]:
    return {topic["name"]: len(topic["partitions"]) for topic in admin.describe_topics()}


def _new_topic(topic: Topic, partitions: int, replication_factor: int) -> NewTopic:
    count = partitions_of(topic, partitions)
    return NewTopic(topic.name, count, replication_factor, topic_configs=configuration_of(topic))


def _said(answer: Mapping[str, Any]) -> str:
    return answer.get("error_message") or f"error {answer['error_code']}"
