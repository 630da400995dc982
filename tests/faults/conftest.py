"""Fault rounds run on the same platform as the integration tests, on either Kafka."""

import gc
import logging
import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from deploy.local.stack import check_kafka
from tests.faults.count_table import Count, counts_of
from tests.faults.shop import UndisturbedOf, shop, undisturbed_alerts
from tests.integration.conftest import StartPlatform, starting

ROUNDS = int(os.environ.get("FAULT_ROUNDS", "1"))
USUAL = check_kafka(os.environ.get("FAULT_KAFKA", "memory"), 1)


@pytest.fixture
def start_platform(tmp_path: Path) -> Iterator[StartPlatform]:
    """As that of the integration tests, but with FAULT_KAFKA where a test does not say which."""
    with starting(tmp_path / "platform", USUAL) as start:
        yield start


@pytest.fixture
def collected(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """For where brokers go away: kafka-python leaves the socket of a failed connection to the garbage collector.

    It must find it in that test and not in a later one, and captured log records would hold on to it. Its
    ResourceWarning is to be ignored there.
    """
    caplog.set_level(logging.CRITICAL, "kafka")
    yield
    gc.collect()


@pytest.fixture
def count_of(request: pytest.FixtureRequest) -> Callable[[str], Count]:
    """What counts a kind of fault, over all tests and rounds of a run."""
    return counts_of(request.config).of


@pytest.fixture(scope="session")
def undisturbed_of(tmp_path_factory: pytest.TempPathFactory) -> UndisturbedOf:
    """The alerts of a run without faults over the shop of a seed: one run, however many tests ask."""
    return cache(lambda seed: undisturbed_alerts(tmp_path_factory.mktemp("clean"), shop(seed)))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test that takes a `seed` once a round, each time with another."""
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", range(1, ROUNDS + 1))
