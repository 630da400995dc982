"""Records with wrong keys, without keys or in wrong partitions still end in their customer's one journey."""

import random

import pytest

from schemas.topics import TOUCHPOINTS_REKEYED
from tests.integration.conftest import StartPlatform
from tests.integration.expectations import GAP_ONLY, assert_exact, expect, touchpoint
from tests.integration.harness import Feed, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

CUSTOMERS = 40
TOUCHPOINTS_EACH = 25
START_MS = 1_790_000_000_000


def test_all_of_a_customer_ends_in_one_journey(start_platform: StartPlatform) -> None:
    chosen = random.Random(5)
    right = [
        touchpoint(f"C-{customer}", f"e-{customer}-{n}", START_MS + (n * CUSTOMERS + customer) * 10_000)
        for n in range(TOUCHPOINTS_EACH)
        for customer in range(CUSTOMERS)
    ]
    wrong = [
        chosen.choice(
            [
                record,
                Feed(None, record.value, partition=chosen.randrange(4)),
                Feed(b"somebody else", record.value),
                Feed(record.key, record.value, partition=chosen.randrange(4)),
            ]
        )
        for record in right
    ]
    platform = start_platform(**GAP_ONLY, oldest_touchpoint="3650d")
    platform.start_worker()
    platform.send(wrong)
    wait_until(lambda: len(platform.members()) == len(right), "all touchpoints")
    platform.wait_idle()
    expected = expect(right)
    assert len(expected.journeys) == CUSTOMERS
    assert_exact(platform, expected)
    assert sum(platform.broker_ends(TOUCHPOINTS_REKEYED).values()) > 0
    owners = platform.query(
        "SELECT customer_id, uniqExact(_partition) FROM journeys.journeys FINAL GROUP BY customer_id"
    )
    assert {count for _, count in owners} == {1}
