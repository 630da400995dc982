"""How far topics reach: also on a broker that reports their ends short."""

import pytest
from kafka.errors import CoordinatorNotAvailableError, KafkaError

from console.kafka_positions import TopicPosition, ask_again, find_ends, make_position, read_lag, read_positions
from deploy.local.stack import LocalStack
from producers.emitters import KafkaEmitter
from producers.topics import create_topics
from schemas.errors import Transient
from schemas.topics import FRICTION_ALERTS, TOPICS, TOUCHPOINTS

RECORDS = 40


@pytest.mark.parametrize(
    ("ends", "committed", "expected"),
    [
        ({}, None, (0, 0, None)),
        ({0: 5, 1: 7}, None, (2, 12, None)),
        ({0: 5, 1: 7}, {0: 5, 1: 3}, (2, 12, 4)),
        ({0: 5, 1: 7}, {}, (2, 12, 12)),
        ({0: 5, 1: 7}, {0: 9}, (2, 16, 7)),
    ],
    ids=["no topic", "not read by the group", "read", "not read yet", "read past the end that is reported"],
)
def test_lag_is_what_is_not_committed(
    ends: dict[int, int], committed: dict[int, int] | None, expected: tuple[int, int, int | None]
) -> None:
    assert make_position("t", ends, committed) == TopicPosition("t", *expected)


class FakeConsumer:
    """A consumer of logs that are told as (reported end, batches of so many records from offset 0)."""

    def __init__(self, logs: dict[str, tuple[int, list[int]]], broken: bool = False) -> None:
        self.logs = logs
        self.broken = broken
        self.positions: dict[str, int] = {}
        self.polls = 0

    def end_offsets(self, partitions: list[str], timeout_ms: int) -> dict[str, int]:
        return {each: self.logs[each][0] for each in partitions}

    def beginning_offsets(self, partitions: list[str], timeout_ms: int) -> dict[str, int]:
        return dict.fromkeys(partitions, 0)

    def assign(self, partitions: list[str]) -> None:
        self.positions = dict.fromkeys(partitions, -1)

    def seek(self, partition: str, offset: int) -> None:
        self.positions[partition] = offset

    def position(self, partition: str) -> int:
        return self.positions[partition]

    def poll(self, timeout_ms: int, max_records: int) -> dict[str, list[int]]:
        """One partition's records at a time, as a slow network would give them."""
        self.polls += 1
        if self.broken:
            raise KafkaError("no permission to read")
        for each, position in self.positions.items():
            if position < (end := sum(self.logs[each][1])):
                self.positions[each] = end
                return {each: list(range(position, end))}
        return {}


@pytest.mark.parametrize(
    ("logs", "ends", "polls"),
    [
        ({"a": (41, [40, 5]), "b": (1, [7])}, {"a": 45, "b": 7}, 2),
        ({"a": (45, [40, 5])}, {"a": 45}, 1),
        ({"a": (0, [])}, {"a": 0}, 0),
        ({}, {}, 0),
    ],
    ids=["reported short", "reported right", "empty", "no partitions"],
)
def test_an_end_is_where_a_reader_finds_it_and_costs_a_look_at_the_last_batch(
    logs: dict[str, tuple[int, list[int]]], ends: dict[str, int], polls: int
) -> None:
    consumer = FakeConsumer(logs)
    assert find_ends(consumer, list(logs)) == ends
    assert consumer.polls == polls


@pytest.mark.parametrize("broken", [False, True], ids=["the last records are gone", "reading is not allowed"])
def test_what_cannot_be_read_keeps_the_end_that_is_reported(broken: bool) -> None:
    consumer = FakeConsumer({"a": (9, [8 if not broken else 12])}, broken)
    assert find_ends(consumer, ["a"], read_seconds=0.01) == {"a": 9}


class NewServer:
    """A server that makes a place for its groups only when it is first asked for one, and says so `times`."""

    def __init__(self, times: int) -> None:
        self.times = times

    def answer(self) -> str:
        self.times -= 1
        if self.times >= 0:
            raise CoordinatorNotAvailableError("not yet")
        return "answer"


def test_a_server_without_a_place_for_groups_yet_is_asked_again() -> None:
    assert ask_again(NewServer(2).answer) == "answer"
    with pytest.raises(CoordinatorNotAvailableError):
        ask_again(NewServer(2).answer, seconds=0)


def send_together(servers: str, topic: str) -> None:
    """Send records as one batch of one partition."""
    emitter = KafkaEmitter({"bootstrap_servers": servers, "linger_ms": 500}, topic)
    for _ in range(RECORDS):
        emitter.send(b"customer_id:C-1", b"{}", (), lambda _: None)
    emitter.flush(20)
    emitter.close(5)


@pytest.mark.integration
def test_each_topic_reaches_as_far_as_one_can_read(stack: LocalStack) -> None:
    options = {"bootstrap_servers": [stack.kafka]}
    create_topics(options, 4)
    before = {each.name: each for each in read_positions(options, "nobody")}
    assert list(before) == [topic.name for topic in TOPICS]
    for topic in (TOUCHPOINTS, FRICTION_ALERTS):
        send_together(stack.kafka, topic)
    after = {each.name: each for each in read_positions(options, "nobody")}
    grown = {name: after[name].records - before[name].records for name in after}
    assert grown == {name: RECORDS if name in (TOUCHPOINTS, FRICTION_ALERTS) else 0 for name in grown}
    assert after[TOUCHPOINTS].lag == after[TOUCHPOINTS].records and after[FRICTION_ALERTS].lag is None
    assert read_lag(options, "nobody") == sum(each.lag or 0 for each in after.values()) >= RECORDS


def test_a_server_that_does_not_answer_is_told_in_one_line() -> None:
    with pytest.raises(Transient, match=r"^no Kafka server answers at 127\.0\.0\.1:1: .*Connection refused"):
        read_positions({"bootstrap_servers": ["127.0.0.1:1"], "bootstrap_timeout_ms": 100}, "nobody")
