"""Faults in numbers: `make test-faults ROUNDS=10 ARGS="-k test_counts"` prints the table of docs/reliability.md."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tests.faults.count_table import Count
from tests.faults.counting import Trial
from tests.faults.pressure import assert_patient, kill_in_insert, slow_inserts
from tests.faults.shop import UndisturbedOf, shop
from tests.integration.conftest import StartPlatform
from tests.integration.expectations import GAP_ONLY
from tests.integration.harness import Platform, WorkerProcess, resume, suspend, wait_until

pytestmark = [
    pytest.mark.faults,
    pytest.mark.timeout(400),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.usefixtures("collected"),
]

CountOf = Callable[[str], Count]
FENCED = 70
WORKER_KILLS, DATABASE_KILLS, BROKER_KILLS, REBALANCES = 10, 5, 4, 6


def test_workers_killed(
    start_platform: StartPlatform, undisturbed_of: UndisturbedOf, seed: int, count_of: CountOf
) -> None:
    records = shop(seed)
    undisturbed = undisturbed_of(seed)
    platform = start_platform(**GAP_ONLY)
    platform.start_worker()
    trial = Trial(count_of("worker killed"), platform, records, WORKER_KILLS)
    for _ in range(WORKER_KILLS):
        trial.meet(lambda: platform.restart(platform.alive()[0]))
    trial.finish(undisturbed)


def test_databases_killed(
    start_platform: StartPlatform, undisturbed_of: UndisturbedOf, seed: int, count_of: CountOf
) -> None:
    records = shop(seed)
    undisturbed = undisturbed_of(seed)
    chosen, hits = random.Random(seed), list[bool]()
    platform = start_platform(**GAP_ONLY)
    worker = platform.start_worker()
    platform.wait_assigned(worker)
    slow_inserts(platform)
    trial = Trial(count_of("ClickHouse killed"), platform, records, DATABASE_KILLS)
    for _ in range(DATABASE_KILLS):
        trial.meet(lambda: hits.append(kill_in_insert(platform, chosen, lambda: None)))
    trial.finish(undisturbed)
    assert worker.exit_code is None and worker.metrics().total("rebalances_total") == 1
    assert_patient(worker)
    print(f"{sum(hits)} of {len(hits)} kills came while an insert ran")
    assert any(hits)


@pytest.mark.apache_kafka
def test_brokers_killed(
    start_platform: StartPlatform, undisturbed_of: UndisturbedOf, seed: int, count_of: CountOf
) -> None:
    records = shop(seed)
    undisturbed = undisturbed_of(seed)
    platform = start_platform(kafka="apache", **GAP_ONLY)
    worker = platform.start_worker()
    trial = Trial(count_of("the only broker killed"), platform, records, BROKER_KILLS)
    broker = platform.stack.process("kafka")

    def kill() -> None:
        broker.kill()
        broker.wait_healthy(90)

    for _ in range(BROKER_KILLS):
        trial.meet(kill)
    trial.finish(undisturbed)
    assert worker.exit_code is None and broker.restarts == BROKER_KILLS


def test_groups_rebalanced(
    start_platform: StartPlatform, undisturbed_of: UndisturbedOf, seed: int, count_of: CountOf
) -> None:
    """One worker, three, one of them asleep for longer than its session, two, one."""
    records = shop(seed)
    undisturbed = undisturbed_of(seed)
    chosen = random.Random(seed)
    platform = start_platform(**GAP_ONLY)
    platform.wait_assigned(platform.start_worker())
    trial = Trial(count_of("group rebalanced"), platform, records, REBALANCES)
    trial.meet(lambda: join(platform))
    trial.meet(lambda: join(platform))
    sleeper = chosen.choice(platform.alive())
    trial.meet(lambda: sleep_through(platform, sleeper))
    trial.meet(lambda: wake(platform, sleeper))
    trial.meet(lambda: leave(platform, chosen))
    trial.meet(lambda: die(platform, chosen))
    trial.finish(undisturbed)


def join(platform: Platform) -> None:
    platform.start_worker()
    wait_shared(platform, platform.alive())


def sleep_through(platform: Platform, sleeper: WorkerProcess) -> None:
    suspend(sleeper)
    wait_shared(platform, [worker for worker in platform.alive() if worker is not sleeper])


def wake(platform: Platform, sleeper: WorkerProcess) -> None:
    """It joins again, or ends because it meets its successor's claim; then another comes."""
    resume(sleeper)
    # What it owned when it fell asleep it counts until it knows better, and then there is too much.
    wait_until(lambda: sleeper.exit_code is not None or is_shared(platform, platform.alive()), "it to join or to end")
    assert sleeper.exit_code in (None, FENCED)
    if sleeper.exit_code is not None:
        join(platform)


def leave(platform: Platform, chosen: random.Random) -> None:
    assert chosen.choice(platform.alive()).terminate(30) == 0
    wait_shared(platform, platform.alive())


def die(platform: Platform, chosen: random.Random) -> None:
    chosen.choice(platform.alive()).kill()
    wait_shared(platform, platform.alive())


def is_shared(platform: Platform, workers: list[WorkerProcess]) -> bool:
    """Whether each of these has a share, and all partitions have one owner."""
    shares = [worker.metrics().total("partitions_assigned") for worker in workers]
    return min(shares) > 0 and sum(shares) == platform.partitions


def wait_shared(platform: Platform, workers: list[WorkerProcess]) -> None:
    wait_until(lambda: is_shared(platform, workers), "a share for each")
