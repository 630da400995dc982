"""The platform on Apache Kafka, as it runs in production."""

from pathlib import Path

import pytest

from schemas.topics import TOUCHPOINTS
from tests.integration.conftest import StartPlatform
from tests.integration.ecom import assert_sessions, kill_in_turn, repeat_some, shuffle
from tests.integration.expectations import GAP_ONLY, read_ecom

pytestmark = [pytest.mark.faults, pytest.mark.apache_kafka, pytest.mark.timeout(180)]


def test_shuffled_repeated_and_killed_the_sessions_are_the_same(start_platform: StartPlatform, tmp_path: Path) -> None:
    records = read_ecom(tmp_path)
    platform = start_platform(kafka="apache", **GAP_ONLY)
    kill_in_turn(platform, platform.start_worker(), repeat_some(shuffle(records, 21), 22), kills=1)
    platform.wait_idle()
    assert_sessions(platform, records)
    # This broker says exactly how far its partitions reach.
    committed = {place: offset for place, offset in platform.committed().items() if place[0] == TOUCHPOINTS}
    assert committed == platform.broker_ends(TOUCHPOINTS) == platform.ends
