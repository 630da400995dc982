"""Workers come and go, hang and wake: the group moves partitions between them and nothing is lost or doubled."""

import time
from pathlib import Path

import pytest

from tests.integration.conftest import StartPlatform
from tests.integration.ecom import shuffle, wait_for_progress
from tests.integration.expectations import GAP_ONLY, assert_exact, expect, read_ecom
from tests.integration.harness import resume, suspend, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.no_cover, pytest.mark.timeout(300)]

FENCED = 70


def test_workers_join_and_leave_under_load(start_platform: StartPlatform, tmp_path: Path) -> None:
    records = shuffle(read_ecom(tmp_path)[:16_000], 21)
    platform = start_platform(**GAP_ONLY)
    first = platform.start_worker()
    platform.wait_assigned(first)
    with platform.sending(records, per_second=700):
        wait_for_progress(platform)
        second = platform.start_worker()
        joining = wait_until(lambda: second.metrics().total("partitions_assigned") == 2, "its share of partitions")
        platform.wait_assigned(first, second)
        wait_for_progress(platform)
        assert first.terminate() == 0
        leaving = wait_until(lambda: second.metrics().total("partitions_assigned") == 4, "all partitions")
        wait_for_progress(platform)
    platform.wait_idle()
    assert second.terminate() == 0
    assert_exact(platform, expect(records))
    print(f"joining took {joining:.1f} s, taking over {leaving:.1f} s")


def test_a_worker_that_wakes_after_its_partitions_have_gone_changes_nothing(
    start_platform: StartPlatform, tmp_path: Path
) -> None:
    records = shuffle(read_ecom(tmp_path)[:18_000], 22)
    platform = start_platform(**GAP_ONLY)
    sleeper, other = platform.start_worker(), platform.start_worker()
    platform.wait_assigned(sleeper, other)
    with platform.sending(records, per_second=800):
        wait_for_progress(platform)
        suspend(sleeper)
        taking_over = wait_until(lambda: other.metrics().total("partitions_assigned") == 4, "all partitions")
        wait_for_progress(platform)
        resume(sleeper)
        time.sleep(1)
    platform.wait_idle()
    assert other.exit_code is None
    assert sleeper.exit_code in (None, FENCED), sleeper.last_log_lines()
    # The insert in which it fell asleep may have landed after all; its rows are looked for and taken back.
    expected = expect(records)
    wait_until(lambda: platform.journeys() == expected.journeys, "what it still wrote to be taken back", 30)
    assert_exact(platform, expected)
    print(f"taking over took {taking_over:.1f} s; the sleeper's exit code: {sleeper.exit_code}")
