"""A broker of three dies under load; tables and alert topic must show what a run without faults gives."""

from __future__ import annotations

import random
import time

import pytest

from schemas.topics import TOUCHPOINTS
from tests.faults.shop import UndisturbedOf, alerts, shop
from tests.integration.conftest import StartPlatform
from tests.integration.ecom import wait_for_progress
from tests.integration.expectations import GAP_ONLY, assert_exact, expect
from tests.integration.harness import wait_until

pytestmark = [
    pytest.mark.faults,
    pytest.mark.apache_kafka,
    pytest.mark.timeout(400),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.usefixtures("collected"),
]


def test_the_leader_of_three_brokers_dies(
    start_platform: StartPlatform, undisturbed_of: UndisturbedOf, seed: int
) -> None:
    records = shop(seed)
    chosen = random.Random(seed)
    undisturbed = undisturbed_of(seed)
    platform = start_platform(kafka="apache", brokers=3, **GAP_ONLY)
    worker = platform.start_worker()
    partition = chosen.randrange(platform.partitions)
    with platform.sending(records, per_second=1_000):
        wait_for_progress(platform)
        time.sleep(chosen.uniform(0, 1))
        leader = platform.leader(TOUCHPOINTS, partition)
        platform.stack.process(f"kafka-{leader}").kill()
        wait_until(lambda: platform.leader(TOUCHPOINTS, partition) not in (leader, -1), "another leader")
    platform.wait_idle(90)
    assert worker.exit_code is None
    # The topic has each record once, so nothing was sent twice to hide a loss.
    committed = {place: offset for place, offset in platform.committed().items() if place[0] == TOUCHPOINTS}
    assert committed == platform.broker_ends(TOUCHPOINTS) and sum(committed.values()) == len(records)
    assert_exact(platform, expect(records))
    assert alerts(platform) == undisturbed
