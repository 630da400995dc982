"""Apache Kafka as the local broker: what it is configured with, and that it keeps what it was given."""

import json
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest
from kafka import KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka.admin import KafkaAdminClient

from console.kafka_positions import read_positions
from deploy.local.apache_kafka import (
    broker_settings,
    load_or_create_cluster,
    make_nodes,
    render,
    wanted_ports,
    why_missing,
)
from deploy.local.ports import choose_ports
from deploy.local.stack import LocalStack, read_stack
from producers.topics import check_topics, create_topics
from schemas.errors import Misconfigured
from schemas.topics import TOPICS, TOUCHPOINTS

PLACE = TopicPartition(TOUCHPOINTS, 0)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[LocalStack]:
    stack = LocalStack(tmp_path / "data", kafka="apache", run_clickhouse=False)
    yield stack
    stack.stop()


def options(stack: LocalStack) -> dict[str, Any]:
    return {"bootstrap_servers": stack.kafka.split(",")}


def produce(stack: LocalStack, values: list[bytes]) -> None:
    with closing(KafkaProducer(**options(stack), acks="all", metrics_enabled=False)) as producer:
        for future in [producer.send(TOUCHPOINTS, value, partition=0) for value in values]:
            future.get(timeout=30)


def consume(stack: LocalStack, count: int) -> list[bytes]:
    """The first records of the partition; they must be all that it has."""
    with closing(KafkaConsumer(**options(stack), group_id=None, metrics_enabled=False)) as consumer:
        consumer.assign([PLACE])
        consumer.seek_to_beginning(PLACE)
        found: list[bytes] = []
        while len(found) < count:
            found += [record.value for record in consumer.poll(timeout_ms=5_000).get(PLACE, [])]
        assert consumer.end_offsets([PLACE]) == {PLACE: count}
        return found


def commit(stack: LocalStack, offset: int) -> None:
    grouped = {"group_id": "g", "enable_auto_commit": False, "metrics_enabled": False, "session_timeout_ms": 6_000}
    with closing(KafkaConsumer(TOUCHPOINTS, **options(stack), **grouped)) as consumer:
        while PLACE not in consumer.assignment():
            consumer.poll(timeout_ms=100)
        consumer.commit({PLACE: OffsetAndMetadata(offset, "", -1)})


def committed(stack: LocalStack) -> int:
    with closing(KafkaAdminClient(**options(stack))) as admin:
        return int(admin.list_group_offsets({"g": None})["g"][PLACE].offset)


@pytest.mark.integration
@pytest.mark.apache_kafka
@pytest.mark.timeout(300)
def test_what_it_was_given_outlives_kill_and_restart(own: LocalStack) -> None:
    own.start()
    address, pid = own.kafka, own.process("kafka").pid
    assert create_topics(options(own), 2) == [topic.name for topic in TOPICS]
    # Nobody has ever asked this server for a group.
    assert [position.lag for position in read_positions(options(own), "g")][:1] == [0]
    values = [b"%d" % number for number in range(500)]
    produce(own, values)
    commit(own, 123)

    own.process("kafka").kill()
    own.process("kafka").wait_healthy(90)
    assert (own.kafka, own.process("kafka").restarts) == (address, 1) and own.process("kafka").pid != pid
    assert consume(own, 500) == values and committed(own) == 123

    formatted = own.directory / "kafka" / "1" / "data" / "meta.properties"
    before = formatted.read_bytes()
    pids = [status.pid for status in own.status() if status.pid is not None]
    own.stop()
    assert pids and not any(psutil.pid_exists(each) for each in pids)
    own.start()
    assert read_stack(own.directory) == own.addresses
    assert create_topics(options(own), 2) == [] and check_topics(options(own)) == 2
    produce(own, [b"more"])
    assert consume(own, 501) == [*values, b"more"] and committed(own) == 123
    assert formatted.read_bytes() == before
    assert "Kafka Server started" in (own.directory / "log" / "kafka.log").read_text("utf-8")


def test_one_broker_keeps_one_copy_and_three_keep_three() -> None:
    [alone] = make_nodes(choose_ports(wanted_ports(0, 1)))
    settings = broker_settings(alone, [alone])
    assert settings["offsets.topic.replication.factor"] == settings["min.insync.replicas"] == "1"
    assert settings["controller.quorum.voters"] == f"1@127.0.0.1:{alone.controller_port}"

    ports = {"kafka_port": 10, "kafka_2_port": 20, "kafka_3_port": 30, "kafka_controller_1_port": 11}
    nodes = make_nodes({"kafka_controller_3_port": 31, "kafka_controller_2_port": 21, **ports})
    assert [(node.number, node.port, node.controller_port) for node in nodes] == [(1, 10, 11), (2, 20, 21), (3, 30, 31)]
    settings = broker_settings(nodes[1], nodes)
    copies = {name: value for name, value in settings.items() if name.endswith("replication.factor")}
    assert set(copies.values()) == {"3"} and {"default.replication.factor", "offsets.topic.replication.factor"} <= set(
        copies
    )
    assert settings["min.insync.replicas"] == settings["transaction.state.log.min.isr"] == "2"
    assert settings["listeners"] == "BROKER://127.0.0.1:20,CONTROLLER://127.0.0.1:21"
    assert settings["unclean.leader.election.enable"] == settings["auto.create.topics.enable"] == "false"
    assert "node.id=2\n" in render(settings)


def test_a_cluster_keeps_its_id_and_its_size(tmp_path: Path) -> None:
    identity = load_or_create_cluster(tmp_path / "kafka", 3)
    assert load_or_create_cluster(tmp_path / "kafka", 3) == identity and len(identity) == 22
    assert load_or_create_cluster(tmp_path / "other", 3) != identity
    with pytest.raises(Misconfigured, match=r"^.*holds a cluster of 3, not of 1: start it with --brokers 3[^\n]*$"):
        load_or_create_cluster(tmp_path / "kafka", 1)
    (tmp_path / "kafka" / "cluster.json").write_text(json.dumps({"id": identity}))
    with pytest.raises(Misconfigured, match=r"^.*cluster\.json is damaged: delete [^\n]*$"):
        load_or_create_cluster(tmp_path / "kafka", 3)


def test_what_is_missing_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    fetched = tmp_path / ".ready"
    assert "no java is on the PATH: install it, then run `make kafka`" in str(why_missing({"PATH": ""}, fetched))
    java = tmp_path / "jdk" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.touch(0o755)
    for environment in ({"PATH": str(java.parent)}, {"PATH": "", "JAVA_HOME": str(tmp_path / "jdk")}):
        assert "run `make kafka`" in str(why_missing(environment, fetched))
    fetched.touch()
    assert why_missing({"PATH": str(java.parent)}, fetched) is None


@pytest.mark.parametrize(
    ("kafka", "brokers", "told"),
    [
        ("memory", 3, "several need --kafka apache"),
        ("apache", 2, "one broker or three"),
        ("other", 1, "memory or apache"),
    ],
)
def test_a_choice_that_is_none_is_refused(tmp_path: Path, kafka: Any, brokers: int, told: str) -> None:
    with pytest.raises(Misconfigured, match=told):
        LocalStack(tmp_path, kafka=kafka, brokers=brokers)
    assert os.listdir(tmp_path) == []
