"""Fault rounds run on the same platform as the integration tests, on either Kafka."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.stack import check_kafka
from tests.integration.conftest import StartPlatform, starting

ROUNDS = int(os.environ.get("FAULT_ROUNDS", "1"))
USUAL = check_kafka(os.environ.get("FAULT_KAFKA", "memory"), 1)


@pytest.fixture
def start_platform(tmp_path: Path) -> Iterator[StartPlatform]:
    """As that of the integration tests, but with FAULT_KAFKA where a test does not say which."""
    with starting(tmp_path / "platform", USUAL) as start:
        yield start


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test that takes a `seed` once a round, each time with another."""
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", range(1, ROUNDS + 1))
