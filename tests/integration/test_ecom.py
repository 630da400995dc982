"""31,106 events of a web shop through Kafka: journeys are exactly its sessions, in any order and whatever is killed."""

from pathlib import Path

import pytest

from tests.integration.conftest import StartPlatform
from tests.integration.ecom import assert_sessions, kill_in_turn, repeat_some, shuffle
from tests.integration.expectations import GAP_ONLY, assert_exact, expect, read_ecom

pytestmark = [pytest.mark.integration, pytest.mark.no_cover, pytest.mark.timeout(300)]


def test_a_plain_replay_gives_the_sessions(start_platform: StartPlatform, tmp_path: Path) -> None:
    records = read_ecom(tmp_path)
    platform = start_platform(**GAP_ONLY)
    platform.send(records)
    platform.start_worker()
    platform.wait_idle()
    assert_sessions(platform, records)


def test_shuffled_repeated_and_killed_it_gives_the_same(start_platform: StartPlatform, tmp_path: Path) -> None:
    records = read_ecom(tmp_path)
    platform = start_platform(**GAP_ONLY)
    shares = kill_in_turn(platform, platform.start_worker(), repeat_some(shuffle(records, 11), 12), kills=2)
    platform.wait_idle()
    assert_sessions(platform, records)
    print("killed after", [f"{share:.0%}" for share in shares])


def test_the_comparison_notices_a_single_missing_touchpoint(start_platform: StartPlatform, tmp_path: Path) -> None:
    records = read_ecom(tmp_path)
    platform = start_platform(**GAP_ONLY)
    missing = expect(records[:400])
    platform.send(records[:200] + records[201:400])
    platform.start_worker()
    platform.wait_idle()
    with pytest.raises(AssertionError, match="found None, expected"):
        assert_exact(platform, missing)
    assert_exact(platform, expect(records[:200] + records[201:400]))


def test_the_comparison_notices_what_is_committed_and_not_written(
    start_platform: StartPlatform, tmp_path: Path
) -> None:
    records = read_ecom(tmp_path)[:6_000]
    platform = start_platform(**GAP_ONLY)
    platform.send(records[:3_000])
    worker = platform.start_worker()
    platform.wait_idle()
    assert worker.terminate() == 0
    platform.send(records[3_000:])
    careless = {place: offset + 1 for place, offset in platform.committed().items()}
    platform.commit(careless)
    platform.start_worker()
    platform.wait_idle()
    lost = expect(records).members.keys() - platform.members().keys()
    assert len(lost) == len(careless)
    with pytest.raises(AssertionError, match="found None, expected"):
        assert_exact(platform, expect(records))
