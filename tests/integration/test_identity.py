"""Customers hidden behind an anonymous id per session: their journeys come out as if they had been visible."""

from pathlib import Path

import pytest

from tests.integration.conftest import StartPlatform
from tests.integration.ecom import kill_in_turn, repeat_some, shuffle
from tests.integration.expectations import GAP_ONLY, read_ecom
from tests.integration.identity import assert_joined, hide_customers

pytestmark = [pytest.mark.integration, pytest.mark.no_cover, pytest.mark.timeout(480)]


def test_a_plain_replay_joins_what_came_before_the_login(start_platform: StartPlatform, tmp_path: Path) -> None:
    records = read_ecom(tmp_path)
    platform = start_platform(**GAP_ONLY)
    platform.send(hide_customers(records))
    platform.start_worker()
    platform.wait_idle(120)
    assert_joined(platform, records)


@pytest.mark.faults
def test_shuffled_repeated_killed_and_shared_by_two_workers_it_gives_the_same(
    start_platform: StartPlatform, tmp_path: Path
) -> None:
    records = read_ecom(tmp_path)
    platform = start_platform(**GAP_ONLY)
    platform.start_worker()
    hidden = repeat_some(shuffle(hide_customers(records), 11), 12)
    kill_in_turn(platform, platform.start_worker(), hidden, kills=2)
    platform.wait_idle(120)
    assert_joined(platform, records)


def test_what_is_long_closed_when_its_customer_is_learned_joins_too(
    start_platform: StartPlatform, tmp_path: Path
) -> None:
    # By time, and nothing may be late but what comes through links.
    records = sorted(read_ecom(tmp_path), key=lambda record: (record.value or b"").split(b'"occurred_at":')[1])
    platform = start_platform(**{**GAP_ONLY, "allowed_lateness": "1h"})
    platform.send(hide_customers(records))
    platform.start_worker()
    platform.wait_idle(120)
    assert_joined(platform, records)
    [(former, found)] = platform.query(
        "SELECT uniqExact(former_journey_id), uniqExact(journey_id) FROM analytics.journey_redirects"
    )
    assert former > 1_000 and found > 1_000
    quality = "SELECT linked, provisional_customers, stitched_touchpoints FROM analytics.identity_quality"
    assert platform.query(quality) == [(3_605, 0, len(records))]


def test_it_goes_on_over_more_partitions(start_platform: StartPlatform, tmp_path: Path) -> None:
    records = sorted(read_ecom(tmp_path), key=lambda record: (record.value or b"").split(b'"occurred_at":')[1])[:8_000]
    hidden = hide_customers(records)
    platform = start_platform(**GAP_ONLY)
    worker = platform.start_worker()
    platform.send(hidden[:4_000])
    platform.wait_idle()
    assert worker.terminate() == 0
    platform.replace_broker(partitions=12)
    platform.start_worker()
    platform.send(hidden[4_000:])
    platform.wait_idle()
    assert_joined(platform, records)
