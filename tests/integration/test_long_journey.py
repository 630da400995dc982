"""One customer with 10,000 touchpoints beside 500 others: all right, nobody waits, and what is kept stays cheap."""

import pytest

from tests.integration.conftest import StartPlatform
from tests.integration.expectations import GAP_ONLY, assert_exact, expect, touchpoint
from tests.integration.harness import Feed, Platform, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.no_cover, pytest.mark.timeout(240)]

LONG = 10_000
OTHERS = 500
START_MS = 1_790_000_000_000
SECOND_MS = 1_000
SETTINGS = {**GAP_ONLY, "oldest_touchpoint": "3650d", "chunk_records": "500", "flush_interval": "200ms"}


def customer_of(n: int, spread_out: bool) -> str:
    return f"S-{n % OTHERS}" if spread_out else "LONG"


def make_records(spread_out: bool) -> list[Feed]:
    """20,000 touchpoints: every second one the long customer's, or everybody's in turn."""
    records = []
    for n in range(LONG):
        at = START_MS + n * SECOND_MS
        records += [
            touchpoint(customer_of(n, spread_out), f"long-{n}", at),
            touchpoint(f"C-{n % OTHERS}", f"other-{n}", at),
        ]
    return records


@pytest.mark.parametrize("spread_out", [False, True])
def test_a_very_long_journey_stalls_nobody(start_platform: StartPlatform, spread_out: bool) -> None:
    platform = start_platform(**SETTINGS)
    platform.query("SYSTEM STOP MERGES journeys.customer_state")
    worker = platform.start_worker()
    platform.wait_assigned(worker)
    records = make_records(spread_out)
    with platform.sending(records, per_second=4_000):
        wait_until(lambda: count_rows(platform, "customer_id LIKE 'C-%'") > OTHERS, "rows of others", every=0.05)
        long_rows = count_rows(platform, "event_id LIKE 'long-%'")
        assert 0 < long_rows < LONG
        wait_until(lambda: count_rows(platform, "true") > 1.5 * LONG, "most of them, in many flushes")
    platform.wait_idle()
    assert_exact(platform, expect(records))
    steps = worker.metrics().by_label("step_seconds_total", "step")
    print("spread out" if spread_out else "one long", {step: round(seconds, 2) for step, seconds in steps.items()})
    if not spread_out:
        check_state(platform)


def count_rows(platform: Platform, condition: str) -> int:
    return int(platform.query(f"SELECT count() FROM journeys.touchpoints WHERE {condition}")[0][0])


def check_state(platform: Platform) -> None:
    """What is written of the long customer grows with what came, not with what was there already."""
    flushes = platform.query(
        "SELECT sum(length(blob)), count() FROM journeys.customer_state WHERE customer_key = 'customer_id:LONG' "
        "GROUP BY _version"
    )
    sealed = platform.query(
        "SELECT max(length(blob)), sum(length(blob)), uniqExact(segment), count() FROM journeys.customer_state "
        "WHERE customer_key = 'customer_id:LONG' AND segment > 0"
    )
    largest, total, segments, rows = sealed[0]
    assert len(flushes) > 5, "too few flushes to tell"
    assert segments == rows >= LONG // 256 - 1, "each segment is written once"
    written = sum(size for size, _ in flushes)
    assert max(size for size, _ in flushes) < total / 2
    assert written < total + len(flushes) * 2 * largest
    print(f"{written} bytes written in {len(flushes)} flushes, {total} of them sealed")
