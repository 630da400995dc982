"""The steady stream raises the alerts that the latency benchmark waits for, and nothing of it is refused."""

import json
from collections import Counter

import pytest

from benchmarks.live_feed import CYCLE, HOT, QUEUE_LEAD_MS, WAIT_CYCLE, Make, make_skewed, make_touchpoint
from benchmarks.population import Record, configuration
from schemas.topics import TOUCHPOINTS
from streams.decoding import Decoder
from streams.partition import Partition

COUNT = 20 * CYCLE
NOW_MS = 1_795_000_000_000


@pytest.mark.parametrize("make", [make_touchpoint, make_skewed])
def test_alerts_arise_from_one_touchpoint_in_twenty_by_touchpoints_and_by_time(make: Make) -> None:
    told = configuration()
    values = [json.dumps(make(number, NOW_MS + number)).encode() for number in range(COUNT)]
    records = [Record(offset, None, value, NOW_MS + offset) for offset, value in enumerate(values)]
    chunk = Decoder(told.door).decode(TOUCHPOINTS, 0, records, NOW_MS + COUNT)
    partition = Partition(0, 1, told.policy, epoch=1)
    at_once = partition.process(chunk)
    later = partition.advance(NOW_MS + QUEUE_LEAD_MS + COUNT + 1)
    assert (len(chunk.arrivals), chunk.refusals) == (COUNT, [])
    found = Counter((state.rule, state.status) for outcome in (at_once, later) for _, state in outcome.changes)
    assert found == {("repeat_contact", "open"): COUNT // 25, ("long_wait", "open"): COUNT // WAIT_CYCLE}


def test_nearly_all_of_the_skewed_stream_is_of_one_customer() -> None:
    names = [make_skewed(number, NOW_MS)["identifiers"]["customer_id"] for number in range(COUNT)]
    assert 0.8 < names.count(HOT) / COUNT < 0.9
