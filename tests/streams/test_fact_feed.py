"""The feed against the real broker, which reports the end of its last batch too low."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import pytest
from kafka import KafkaProducer

from deploy.local.stack import LocalStack
from producers.topics import create_topics
from schemas.errors import Terminal
from schemas.fact import encode_fact
from schemas.moments import format_epoch_ms
from schemas.topics import FACTS
from streams.clock import read_clock_ms
from streams.decoding import Door
from streams.fact_decoding import FactArrival
from streams.fact_feed import FactFeed
from streams.records import Refusal

pytestmark = pytest.mark.integration
DOOR = Door(oldest_ms=86_400_000, ahead_ms=60_000, skew_bound_ms=60_000, max_bytes=100_000)


class Reader:
    """What a feed has handed over."""

    def __init__(self, stack: LocalStack) -> None:
        self.ids: list[str] = []
        self.offsets: list[int] = []
        self.refused: list[Refusal] = []
        self.feed = FactFeed([stack.kafka], {}, DOOR, self.take, self.refuse)

    async def take(self, arrivals: list[FactArrival]) -> None:
        self.ids += [arrival.fact.event_id for arrival in arrivals]
        self.offsets += [arrival.offset for arrival in arrivals]

    async def refuse(self, refusal: Refusal) -> None:
        self.refused.append(refusal)

    async def holds(self, number: int, seconds: float = 20.0) -> None:
        async with asyncio.timeout(seconds):
            while len(self.ids) < number:
                await asyncio.sleep(0.02)


def send(stack: LocalStack, ids: Iterable[str]) -> None:
    """In batches as large as they become; an id that is empty is a record that is no fact."""
    occurred_at = format_epoch_ms(read_clock_ms())
    producer = KafkaProducer(
        bootstrap_servers=stack.kafka,
        linger_ms=500,
        batch_size=1 << 20,
        max_request_size=8 << 20,
        metrics_enabled=False,
    )
    for event_id in ids:
        fact = {
            "event_id": event_id, "source": "web", "type": "source_heartbeat", "occurred_at": occurred_at,
        }  # fmt: skip
        producer.send(FACTS, encode_fact(fact) if event_id else b"no fact", b"source_heartbeat:web")
    producer.close(10)


def test_all_of_the_topic_is_there_when_the_feed_says_so_and_what_follows_comes(tmp_path: Path) -> None:
    async def read(stack: LocalStack) -> None:
        reader = Reader(stack)
        running = asyncio.create_task(reader.feed.run())
        assert not reader.feed.is_caught_up
        async with asyncio.timeout(20):
            await reader.feed.caught_up()
        assert reader.ids == sent and reader.offsets == [*range(700), *range(701, 3_001)]
        assert [(refusal.offset, refusal.reason) for refusal in reader.refused] == [(700, "invalid_json")]
        await asyncio.to_thread(send, stack, ["after"])
        await reader.holds(len(sent) + 1)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running

    with LocalStack(tmp_path, run_clickhouse=False) as stack:
        create_topics({"bootstrap_servers": stack.kafka}, 2)
        sent = [f"e-{number}" for number in range(3_000)]
        send(stack, [*sent[:700], "", *sent[700:]])
        asyncio.run(read(stack))


def test_an_empty_topic_is_read_at_once_and_an_outage_is_survived(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def read(stack: LocalStack) -> None:
        reader = Reader(stack)
        running = asyncio.create_task(reader.feed.run())
        await asyncio.sleep(0.5)
        assert not reader.feed.is_caught_up, "there is no topic yet"
        create_topics({"bootstrap_servers": stack.kafka}, 2)
        async with asyncio.timeout(20):
            await reader.feed.caught_up()
        for number in range(2):
            await asyncio.to_thread(send, stack, [f"before-{number}"])
        await reader.holds(2)
        broker = stack.process("kafka")
        broker.kill()
        await asyncio.sleep(1.0)
        broker.wait_healthy()
        create_topics({"bootstrap_servers": stack.kafka}, 2)
        await asyncio.to_thread(send, stack, ["afterwards"])
        await reader.holds(3)
        assert reader.ids == ["before-0", "before-1", "afterwards"]
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running

    with LocalStack(tmp_path, run_clickhouse=False) as stack:
        asyncio.run(read(stack))
    assert "cannot be read: Kafka has no topic 'facts'" in caplog.text
    assert "the broker has lost it" in caplog.text or "no answer within" in caplog.text


def test_what_a_callback_raises_ends_the_feed(stack: LocalStack) -> None:
    async def read() -> None:
        reader = Reader(stack)

        async def refuse(refusal: Refusal) -> None:
            raise Terminal("cannot go on")

        reader.feed = FactFeed([stack.kafka], {}, DOOR, reader.take, refuse)
        async with asyncio.timeout(20):
            await reader.feed.run()

    create_topics({"bootstrap_servers": stack.kafka}, 4)
    send(stack, [""])
    with pytest.raises(Terminal, match="cannot go on"):
        asyncio.run(read())


def test_a_broker_that_is_not_there_is_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def read() -> None:
        feed = FactFeed(["127.0.0.1:1"], {}, DOOR, nothing, nothing)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.0):
                await feed.run()
        assert not feed.is_caught_up

    async def nothing(_: object) -> None: ...

    asyncio.run(read())
    assert "Topic facts cannot be read: KafkaConnectionError" in caplog.text
