"""All of `analytics` is unchanged when everything is delivered twice and the worker is killed -9 on the way."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.integration.harness import Platform
from tests.integration.warehouse import OF_ANY_AGE, Delivery, deliver, deliver_and_kill, double, live, refused
from tests.integration.warehouse_views import EMPTY, Warehouse, compare, empty_views, read_warehouse

pytestmark = [pytest.mark.integration, pytest.mark.no_cover, pytest.mark.timeout(480)]

ACTIONS = """
INSERT INTO journeys.alert_actions (action_id, episode_id, action, by, note, until, acted_at)
SELECT episode_id, episode_id, if(number % 2, 'silence', 'ack'), 'dana', 'seen', opened_at + INTERVAL 1 HOUR, opened_at
FROM (SELECT episode_id, opened_at, row_number() OVER (ORDER BY episode_id) AS number
    FROM journeys.alerts FINAL WHERE status != 'withdrawn')
WHERE number <= 6
"""
"""What people did about the first alerts: the same wherever there are the same alerts."""

PLANTED = """
INSERT INTO journeys.touchpoints SELECT * REPLACE (concat(event_id, '-again') AS event_id)
FROM journeys.touchpoints FINAL WHERE type = 'product_viewed' ORDER BY occurred_at LIMIT 1
"""
"""A doubled touchpoint that no key gives away."""

WITHDRAWN = """
INSERT INTO journeys.alerts
SELECT * REPLACE (toUUID('00000000-0000-0000-0000-000000000001') AS episode_id, 'withdrawn' AS status,
    'late_data' AS withdrawn_because)
FROM (SELECT * FROM journeys.alerts FINAL WHERE kind = 'friction' AND status = 'resolved' ORDER BY opened_at LIMIT 1)
"""
"""An episode that was told before all was known. Only some runs have some."""


def test_twice_and_killed_it_is_the_same_as_once(tmp_path: Path) -> None:
    hold_against_once(tmp_path, seed=7, customers=200, touchpoints=4_000, bursts=2)


def hold_against_once(directory: Path, seed: int, customers: int, touchpoints: int, bursts: int) -> None:
    """Compare a life delivered once with the same delivered twice to workers that are killed on the way."""
    life = live(seed, customers, touchpoints)
    with (
        ThreadPoolExecutor(1) as thread,
        Platform(directory / "once", dict(OF_ANY_AGE)) as undisturbed,
        Platform(directory / "twice", dict(OF_ANY_AGE)) as platform,
    ):
        once = thread.submit(live_once, undisturbed, life + refused())
        # Nothing is merged away: whatever was written more than once, the views have to deal with.
        platform.query("SYSTEM STOP MERGES")
        deliver_and_kill(platform, double(life, seed), bursts, seed)
        deliver(platform, refused())
        found, clean = settle(platform), once.result()
        assert empty_views(clean) == EMPTY.keys()
        assert compare(found, clean) == {}
        assert_that_withdrawn_episodes_do_not_count(platform, clean)
        assert_that_it_could_have_differed(platform, clean)


def live_once(platform: Platform, life: Sequence[Delivery]) -> Warehouse:
    """What analysts see of it all delivered once, to a worker that nothing happens to."""
    platform.start_worker()
    deliver(platform, life)
    return settle(platform)


def settle(platform: Platform) -> Warehouse:
    """What analysts see once all is done, and somebody has looked at the first alerts."""
    platform.wait_idle(120)
    platform.query(ACTIONS)
    return read_warehouse(platform)


def assert_that_withdrawn_episodes_do_not_count(platform: Platform, clean: Warehouse) -> None:
    platform.query(WITHDRAWN)
    assert compare(read_warehouse(platform), clean) == {}


def assert_that_it_could_have_differed(platform: Platform, clean: Warehouse) -> None:
    """The tables behind the views hold rows that must not count, and one doubled touchpoint is seen in many views."""
    [(stored, counted)] = platform.query(
        "SELECT (SELECT count() FROM journeys.touchpoints), (SELECT count() FROM analytics.touchpoints)"
    )
    assert stored > counted
    platform.query(PLANTED)
    found = read_warehouse(platform, ("touchpoints", "journey_steps", "flow"))
    assert compare(found, {question: clean[question] for question in found}).keys() == found.keys()
