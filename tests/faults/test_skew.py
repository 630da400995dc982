"""Nine tenths of all for one customer, and clocks that are off: alerts come, but by no storm, and nothing is lost."""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from schemas.episode import Episode
from schemas.moments import format_epoch_ms
from schemas.topics import FRICTION_ALERTS
from tests.integration.conftest import StartPlatform
from tests.integration.expectations import assert_exact, expect, touchpoint
from tests.integration.harness import Feed, Platform, wait_until
from tests.integration.skewed_process import SKEW

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

SKEWED = "tests.integration.skewed_process"
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
CUSTOMERS = 40
HOT = 9_000
ROUNDS = 20
STOPPED = 70
GAP_ALONE = {"journey_gap": "30m", "hold_open_for_promises": "false"}


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def ordered(customer: str, promised_ms: int, occurred_ms: int, **more: Any) -> Feed:
    properties = {"amount": 10.0, "currency": "ILS", "promised_by": format_epoch_ms(promised_ms)}
    return touchpoint(
        customer,
        f"order-{customer}",
        occurred_ms,
        "order_placed",
        order_id=f"O-{customer}",
        properties=properties,
        **more,
    )


def delivered(customer: str, occurred_ms: int) -> Feed:
    return touchpoint(
        customer, f"delivery-{customer}", occurred_ms, "delivered", source="delivery", order_id=f"O-{customer}"
    )


class Alerts:
    """The alerts that the topic has brought so far."""

    def __init__(self, read: Callable[[], list[Any]]) -> None:
        self._read = read
        self.all: list[Episode] = []

    def read_on(self) -> Counter[tuple[str, str]]:
        """How many states of alerts there were by now, by customer and status."""
        self.all += [Episode.model_validate_json(record.value) for record in self._read()]
        return Counter((each.customer_id, each.status) for each in self.all)

    def wait_for(self, status: str, *customers: str) -> None:
        def have_come() -> bool:
            return {(customer, status) for customer in customers} <= self.read_on().keys()

        wait_until(have_come, f"alerts that are {status} for {', '.join(customers)}")


@contextmanager
def watching(platform: Platform) -> Iterator[Alerts]:
    with platform.tail(FRICTION_ALERTS) as read:
        yield Alerts(read)


@contextmanager
def clock_off(platform: Platform, skew_ms: int) -> Iterator[None]:
    """Workers that are started meanwhile run on a machine whose clock is off."""
    usual, platform.module = platform.module, SKEWED
    os.environ[SKEW] = str(skew_ms)
    try:
        yield
    finally:
        platform.module = usual
        del os.environ[SKEW]


def test_alerts_come_while_nine_tenths_are_of_one_customer(start_platform: StartPlatform) -> None:
    """The feed of the one goes on until each of the others has its alert, in his partition as well."""
    platform = start_platform(**GAP_ALONE)
    platform.wait_assigned(platform.start_worker())
    began_ms = now_ms()
    hot = [touchpoint("HOT", f"hot-{number}", began_ms + number) for number in range(HOT)]
    others: list[Feed] = []
    with watching(platform) as alerts:
        with platform.sending(hot, per_second=3_000):
            for turn in range(ROUNDS):
                customers = [f"C-{turn}-{number}" for number in range(CUSTOMERS)]
                broken = [ordered(customer, began_ms - 1, began_ms - MINUTE_MS) for customer in customers]
                platform.send(broken)
                others += broken
                alerts.wait_for("open", *customers)
        platform.wait_idle()
        assert set(alerts.read_on().values()) == {1}
    assert len(hot) >= 9 * len(others)
    assert platform.query("SELECT uniqExact(_partition) FROM journeys.touchpoints WHERE customer_id != 'HOT'") == [(4,)]
    assert_exact(platform, expect([*hot, *others]))


def test_a_producer_with_a_wrong_clock_raises_no_false_alarm(start_platform: StartPlatform) -> None:
    """Whether it says so (`sent_at`), and is put right, or not, and is refused or taken for what it says."""
    platform = start_platform()
    platform.wait_assigned(platform.start_worker())
    with watching(platform) as alerts:
        began_ms = now_ms()
        waiting = [f"C-{number}" for number in range(CUSTOMERS)]
        platform.send(ordered(each, began_ms + 30 * MINUTE_MS, began_ms) for each in waiting)
        for name, skew_ms in (("ahead", HOUR_MS), ("behind", -HOUR_MS)):
            told, sent_at = began_ms + skew_ms, format_epoch_ms(now_ms() + skew_ms)
            platform.send(touchpoint(f"C-{n}", f"{name}-told-{n}", told, sent_at=sent_at) for n in range(CUSTOMERS))
            platform.send(touchpoint(f"C-{n}", f"{name}-{n}", told) for n in range(CUSTOMERS))
        platform.send([ordered("C-late", began_ms + 1, began_ms)])
        alerts.wait_for("open", "C-late")
        platform.wait_idle()
        assert alerts.read_on() == {("C-late", "open"): 1}
    assert platform.dead_letter_reasons() == {"too_far_ahead": CUSTOMERS}
    assert corrections(platform) == {"ahead-told": (0, 1), "behind-told": (0, 1), "behind": (-1, 1)}


def test_what_a_producer_a_little_ahead_brings_about_is_taken_back(start_platform: StartPlatform) -> None:
    """What it says is taken, so time comes to deadlines earlier, once, and what comes in time after all counts."""
    platform = start_platform()
    platform.wait_assigned(platform.start_worker())
    with watching(platform) as alerts:
        began_ms = now_ms()
        waiting = [f"C-{number}" for number in range(CUSTOMERS)]
        platform.send(ordered(each, began_ms + 3 * MINUTE_MS, began_ms) for each in waiting)
        platform.send(touchpoint(f"A-{number}", f"a-{number}", began_ms + 4 * MINUTE_MS) for number in range(CUSTOMERS))
        alerts.wait_for("open", *waiting)
        platform.send(delivered(each, now_ms()) for each in waiting)
        alerts.wait_for("withdrawn", *waiting)
        platform.wait_idle()
        assert alerts.read_on() == {(each, status): 1 for each in waiting for status in ("open", "withdrawn")}
    assert platform.query("SELECT status, count() FROM analytics.promises GROUP BY status") == [("kept", CUSTOMERS)]


def corrections(platform: Platform) -> dict[str, tuple[int, int]]:
    """By producer how many hours its touchpoints are off as they count, and how far off they came."""
    rows = platform.query(
        "SELECT replaceRegexpOne(event_id, '-\\\\d+$', '') AS name, "
        "any(round(dateDiff('second', received_at, occurred_at) / 3600)), "
        "any(abs(round(dateDiff('second', received_at, occurred_at_original) / 3600))) "
        "FROM analytics.touchpoints WHERE type = 'browsed' GROUP BY name"
    )
    return {name: (int(hours), int(original)) for name, hours, original in rows}


@pytest.mark.parametrize("skew_ms", [HOUR_MS, -HOUR_MS], ids=["ahead", "behind"])
def test_a_worker_whose_clock_is_wrong_does_nothing_and_says_so(start_platform: StartPlatform, skew_ms: int) -> None:
    """It would call half an hour's promises broken, or refuse all as of the future."""
    platform = start_platform()
    with watching(platform) as alerts:
        began_ms = now_ms()
        customers = [f"C-{number}" for number in range(CUSTOMERS)]
        platform.send(ordered(each, began_ms + 30 * MINUTE_MS, began_ms) for each in customers)
        with clock_off(platform, skew_ms):
            wrong = platform.start_worker()
        assert wrong.wait(60) == STOPPED
        way = "ahead of" if skew_ms > 0 else "behind"
        said = rf"cannot go on: this machine's clock is 3\d\d\d s {way} ClickHouse's.*\(NTP\)"
        assert re.search(said, wrong.last_log_lines().splitlines()[-1]), wrong.last_log_lines()
        assert platform.committed() == {} and platform.members() == {}

        platform.start_worker()
        platform.send(delivered(each, now_ms()) for each in customers)
        platform.wait_idle()
        assert not alerts.read_on()
    assert platform.dead_letter_reasons() == {}
    assert platform.query("SELECT status, count() FROM analytics.promises GROUP BY status") == [("kept", CUSTOMERS)]
