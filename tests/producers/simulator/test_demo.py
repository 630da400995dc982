from collections import defaultdict
from itertools import pairwise
from typing import Any

import pytest

from producers.simulator import Demo, Ledger, make_demo
from schemas.touchpoint import touchpoint_adapter
from tests.producers.simulator.lives import START, START_MS, occurred_ms


def watch(demo: Demo, seconds: float) -> list[tuple[float, dict[str, Any]]]:
    live: list[tuple[float, dict[str, Any]]] = []
    for due_seconds, touchpoint in demo.live:
        if due_seconds >= seconds:
            return live
        live.append((due_seconds, touchpoint))
    raise AssertionError("the demo ended")


def test_the_history_ends_now_and_life_goes_on_from_there() -> None:
    demo = make_demo(1, START)
    live = watch(demo, 60)
    assert occurred_ms(demo.history[-1]) < START_MS <= occurred_ms(live[0][1])
    assert all(due == (occurred_ms(touchpoint) - START_MS) / 1000 for due, touchpoint in live)
    told = [*demo.history, *(touchpoint for _, touchpoint in live)]
    assert all(occurred_ms(earlier) <= occurred_ms(later) for earlier, later in pairwise(told))
    assert 5_000 < len(demo.history) < 50_000 and len(live) > 100
    for touchpoint in told:
        touchpoint_adapter().validate_python(touchpoint)


def test_the_same_arguments_show_the_same() -> None:
    assert make_demo(1, START).history == make_demo(1, START).history


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("minute", [0, 1])
def test_each_rule_fires_several_times_in_a_minute(seed: int, minute: int) -> None:
    demo = make_demo(seed, START)
    ledger = Ledger()
    fired: dict[str, list[float]] = defaultdict(list)
    told = [*demo.history, *(touchpoint for _, touchpoint in watch(demo, 60 * (minute + 1)))]
    found = [friction for touchpoint in told for friction in ledger.observe(occurred_ms(touchpoint), touchpoint)]
    for friction in found:
        seconds = (friction.true_at_ms - START_MS) / 1000 - 60 * minute
        if 0 <= seconds < 60:
            fired[friction.rule].append(seconds)
    shown = ("long_wait", "repeat_contact", "broken_promise")
    assert all(len(fired[rule]) >= 3 for rule in shown)
    assert min(min(fired[rule]) for rule in shown) < 10


def test_some_waits_and_promises_are_settled_late_and_others_never() -> None:
    demo = make_demo(1, START)
    scripted = {
        touchpoint["identifiers"]["customer_id"]: touchpoint["type"]
        for touchpoint in [*demo.history, *(touchpoint for _, touchpoint in watch(demo, 600))]
        if int(touchpoint["identifiers"]["customer_id"][2:]) >= 104_000
    }
    last = set(scripted.values())
    assert {
        "service_started",
        "queue_joined",
        "delivered",
        "out_for_delivery",
        "contact_started",
        "contact_ended",
    } <= last
