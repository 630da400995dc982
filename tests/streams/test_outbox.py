"""What is sent in batches: all of it, once, in the order of each key."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from pathlib import Path

import pytest
from kafka import KafkaConsumer

from deploy.local.stack import LocalStack
from producers.topics import create_topics
from schemas.partitioning import partition_of
from schemas.topics import FRICTION_ALERTS
from streams.outbox import Keyed, Outbox

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

KEYS = [b"episode-%d" % number for number in range(7)]
ROUNDS, PER_ROUND = 20, 200
PARTITIONS = 3


async def send_rounds(outbox: Outbox) -> int:
    """Hand over many rounds, most of them without letting the producer breathe; returns how many were acknowledged."""
    acknowledged, sent = 0, []
    for number in range(ROUNDS):
        records = [
            Keyed(KEYS[(number + place) % len(KEYS)], b"%d:" % (number * PER_ROUND + place) + b"x" * 1_000)
            for place in range(PER_ROUND)
        ]
        sent += await outbox.send_all(FRICTION_ALERTS, records)
        if number % 7 == 0:
            await asyncio.sleep(0.01)
    await outbox.settle(outbox.pending())
    for future, places in sent:
        assert future.done() and future.exception() is None
        acknowledged += len(places)
    return acknowledged


async def run(servers: str) -> int:
    outbox = Outbox([servers], {})
    await outbox.start()
    try:
        return await send_rounds(outbox)
    finally:
        await outbox.stop()


def test_batches_keep_the_order_of_each_key(tmp_path: Path) -> None:
    with LocalStack(tmp_path, run_clickhouse=False) as stack:
        create_topics({"bootstrap_servers": stack.kafka}, PARTITIONS)
        assert asyncio.run(run(stack.kafka)) == ROUNDS * PER_ROUND
        numbers: defaultdict[bytes, list[int]] = defaultdict(list)
        consumer = KafkaConsumer(
            FRICTION_ALERTS, bootstrap_servers=stack.kafka, auto_offset_reset="earliest", consumer_timeout_ms=2_000
        )
        for record in consumer:
            assert record.partition == partition_of(record.key, PARTITIONS)
            numbers[record.key].append(int(record.value.split(b":")[0]))
        consumer.close()
    assert sum(map(len, numbers.values())) == ROUNDS * PER_ROUND
    assert all(told == sorted(set(told)) for told in numbers.values())
