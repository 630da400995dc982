"""Brokers of Apache Kafka die under load; tables and alert topic must show what a run without faults gives."""

from __future__ import annotations

import gc
import logging
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from producers.client import Client
from producers.simulator import make_demo
from schemas.identifiers import Pseudonymiser
from schemas.topics import FRICTION_ALERTS, REPLAY_HEADER, TOUCHPOINTS
from tests.integration.conftest import StartPlatform
from tests.integration.ecom import assert_sessions, shuffle, wait_for_progress
from tests.integration.expectations import GAP_ONLY, RecordingEmitter, assert_exact, expect, read_ecom
from tests.integration.harness import Feed, Platform, wait_until
from tests.integration.test_alerts import Alerts, table_rows

# kafka-python leaves the socket of a failed connection to the garbage collector, which must find it here and not later.
pytestmark = [
    pytest.mark.faults,
    pytest.mark.apache_kafka,
    pytest.mark.timeout(400),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.usefixtures("collected"),
]

# Long ago: nothing in it waits for the clock.
NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture
def collected(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    # Captured log records would hold on to it.
    caplog.set_level(logging.CRITICAL, "kafka")
    yield
    gc.collect()


def test_the_leader_of_three_brokers_dies(start_platform: StartPlatform, tmp_path: Path, seed: int) -> None:
    records = shop(seed)
    chosen = random.Random(seed)
    with Platform(tmp_path / "clean", dict(GAP_ONLY)) as clean:
        clean.send(records)
        clean.start_worker()
        clean.wait_idle()
        undisturbed = alerts(clean)
    assert len({row[1] for row in undisturbed.values()}) > 5, "alerts of several rules"

    platform = start_platform(kafka="apache", brokers=3, **GAP_ONLY)
    worker = platform.start_worker()
    partition = chosen.randrange(platform.partitions)
    with platform.sending(records, per_second=1_000) as feed:
        wait_for_progress(platform)
        time.sleep(chosen.uniform(0, 1))
        leader = platform.leader(TOUCHPOINTS, partition)
        platform.stack.process(f"kafka-{leader}").kill()
        assert not feed.done()
        wait_until(lambda: platform.leader(TOUCHPOINTS, partition) not in (leader, -1), "another leader")
        assert not feed.done()
    platform.wait_idle(90)
    assert worker.exit_code is None
    # The topic has each record once, so nothing was sent twice to hide a loss.
    committed = {place: offset for place, offset in platform.committed().items() if place[0] == TOUCHPOINTS}
    assert committed == platform.broker_ends(TOUCHPOINTS) and sum(committed.values()) == len(records)
    assert_exact(platform, expect(records))
    assert alerts(platform) == undisturbed


def test_the_only_broker_dies(start_platform: StartPlatform, tmp_path: Path, seed: int) -> None:
    records = shuffle(read_ecom(tmp_path), seed)
    platform = start_platform(kafka="apache", **GAP_ONLY)
    worker = platform.start_worker()
    broker = platform.stack.process("kafka")
    with platform.sending(records, per_second=2_000) as feed:
        wait_for_progress(platform)
        time.sleep(random.Random(seed).uniform(0, 1))
        broker.kill()
        assert not feed.done()
        broker.wait_healthy(90)
    platform.wait_idle(90)
    assert worker.exit_code is None and broker.restarts == 1
    assert_sessions(platform, records)
    assert sum(platform.broker_ends(TOUCHPOINTS).values()) == len(records)


def shop(seed: int) -> list[Feed]:
    """Three days of a simulated shop, as `journeys replay` would send them."""
    emitter = RecordingEmitter()
    with Client(emitter, Pseudonymiser(b"any key of some length", "k1", "IL")) as client:
        for touchpoint in make_demo(seed, NOW).history:
            client.replay(touchpoint, ((REPLAY_HEADER, b"1"),))
    return emitter.records


def alerts(platform: Platform) -> dict[str, tuple[Any, ...]]:
    """The table's alerts by id, which must be those of the topic, without what other data disproved on the way."""
    with platform.tail(FRICTION_ALERTS) as read:
        told = Alerts(read)

        def agree() -> bool:
            told.read_on()
            return told.latest_rows() == table_rows(platform)

        wait_until(agree, "the topic to say what the table shows")
    return {identity: row for identity, row in told.latest_rows().items() if "withdrawn" not in row}
