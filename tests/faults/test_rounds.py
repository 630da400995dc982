"""Rounds of killing and stopping things under load; what the tables show must be what a clean run gives, every time."""

import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.integration.conftest import StartPlatform
from tests.integration.ecom import assert_sessions, kill_in_turn, repeat_some, shuffle, wait_for_progress
from tests.integration.expectations import GAP_ONLY, assert_exact, expect, read_ecom
from tests.integration.harness import Feed, Platform, resume, suspend, wait_until
from tests.integration.identity import assert_joined, hide_customers
from tests.integration.outage import CHUNK, LIMIT, SMALL_BUFFER, down, survive, suspended

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]

FENCED = 70


def test_five_kills_shuffled_and_repeated(start_platform: StartPlatform, tmp_path: Path, seed: int) -> None:
    records = read_ecom(tmp_path)
    platform = start_platform(**GAP_ONLY)
    mixed = repeat_some(shuffle(records, seed), seed + 1000)
    kill_in_turn(platform, platform.start_worker(), mixed, kills=5)
    platform.wait_idle()
    assert_sessions(platform, records)


def test_two_workers_one_of_them_killed(start_platform: StartPlatform, tmp_path: Path, seed: int) -> None:
    records = read_ecom(tmp_path)
    platform = start_platform(**GAP_ONLY)
    killed, other = platform.start_worker(), platform.start_worker()
    platform.wait_assigned(killed, other)
    with platform.sending(shuffle(records, seed), per_second=1_500):
        wait_for_progress(platform)
        assert killed.metrics().total("partitions_assigned") == 2
        time.sleep(random.Random(seed).uniform(0, 1))
        killed.kill()
        wait_until(lambda: other.metrics().total("partitions_assigned") == 4, "all partitions")
    platform.wait_idle()
    assert other.exit_code is None
    assert_sessions(platform, records)


@pytest.mark.parametrize("outage", [suspended(60), down(60)], ids=["hanging", "down"])
def test_a_minute_without_the_database(
    start_platform: StartPlatform, tmp_path: Path, seed: int, outage: Callable[..., None]
) -> None:
    platform = start_platform(**GAP_ONLY, **SMALL_BUFFER)
    buffered = survive(platform, shuffle(read_ecom(tmp_path), seed), outage, per_second=450)
    assert LIMIT <= max(buffered) < LIMIT + CHUNK


def test_anything_at_any_time(start_platform: StartPlatform, tmp_path: Path, seed: int) -> None:
    """Two workers; kills, hangs, polite stops and database deaths in random order."""
    records = repeat_some(shuffle(read_ecom(tmp_path), seed), seed)
    platform = start_platform(**GAP_ONLY)
    do_anything(platform, records, seed)
    # An insert in which a worker hung may land after all; its rows are looked for and taken back.
    expected = expect(records)
    wait_until(lambda: platform.journeys() == expected.journeys, "what was still written to be taken back", 90)
    assert_exact(platform, expected)


def test_anything_at_any_time_while_customers_are_learned(
    start_platform: StartPlatform, tmp_path: Path, seed: int
) -> None:
    """The same, with each session under an anonymous id until somebody logs in."""
    records = read_ecom(tmp_path)
    platform = start_platform(**GAP_ONLY)
    do_anything(platform, repeat_some(shuffle(hide_customers(records), seed), seed), seed)
    expected = expect(records)
    wait_until(lambda: platform.journeys().keys() == expected.journeys.keys(), "the journeys", 90)
    assert_joined(platform, records)


def do_anything(platform: Platform, records: Sequence[Feed], seed: int) -> None:
    """Feed the records to two workers while everything fails in turn, until all is done."""
    chosen = random.Random(seed)
    platform.wait_assigned(platform.start_worker(), platform.start_worker())
    faults = [kill, hang, leave, kill_database, hang_database] * 2
    chosen.shuffle(faults)
    with platform.sending(records, per_second=500):
        for fault in faults:
            fault(platform, chosen)
            replace_the_dead(platform)
            time.sleep(chosen.uniform(0, 4))
    replace_the_dead(platform)
    platform.wait_idle(120)
    assert {worker.exit_code for worker in platform.workers} <= {None, 0, -9, FENCED}


def kill(platform: Platform, chosen: random.Random) -> None:
    chosen.choice(platform.alive()).kill()


def hang(platform: Platform, chosen: random.Random) -> None:
    worker = chosen.choice(platform.alive())
    suspend(worker)
    time.sleep(chosen.uniform(0.5, 8))
    resume(worker)


def leave(platform: Platform, chosen: random.Random) -> None:
    worker = chosen.choice(platform.alive())
    # One that is still being loaded does not know yet what to do when asked to stop.
    wait_until(lambda: bool(worker.metrics().values), f"{worker.name} to run")
    assert worker.terminate(30) == 0


def kill_database(platform: Platform, chosen: random.Random) -> None:
    platform.stack.process("clickhouse").kill()


def hang_database(platform: Platform, chosen: random.Random) -> None:
    database = platform.stack.process("clickhouse")
    database.suspend()
    time.sleep(chosen.uniform(0.5, 5))
    database.resume()


def replace_the_dead(platform: Platform) -> None:
    while len(platform.alive()) < 2:
        platform.start_worker()
