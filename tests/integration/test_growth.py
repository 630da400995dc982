"""More partitions, and a broker that has forgotten everything: what is open goes on where it was."""

from pathlib import Path

import pytest

from tests.integration.conftest import StartPlatform
from tests.integration.expectations import GAP_ONLY, assert_exact, expect, read_ecom

pytestmark = [pytest.mark.integration, pytest.mark.no_cover, pytest.mark.timeout(240)]


def test_journeys_go_on_over_more_partitions_of_another_broker(start_platform: StartPlatform, tmp_path: Path) -> None:
    # By time, so that many customers are in the middle of a journey at the cut.
    records = sorted(read_ecom(tmp_path), key=lambda record: (record.value or b"").split(b'"occurred_at":')[1])[:8_000]
    platform = start_platform(**GAP_ONLY)
    worker = platform.start_worker()
    platform.send(records[:4_000])
    platform.wait_idle()
    assert worker.terminate() == 0
    cut = (
        expect(records).journeys.items()
        - expect(records[:4_000]).journeys.items()
        - expect(records[4_000:]).journeys.items()
    )
    assert cut, "no journey spans the cut"

    platform.replace_broker(partitions=12)
    platform.start_worker()
    platform.send(records[4_000:])
    platform.wait_idle()
    assert_exact(platform, expect(records))
