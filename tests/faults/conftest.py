"""Fault rounds run on the same platform as the integration tests."""

import os

import pytest

from tests.integration.conftest import start_platform

__all__ = ["start_platform"]

ROUNDS = int(os.environ.get("FAULT_ROUNDS", "1"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test that takes a `seed` once a round, each time with another."""
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", range(1, ROUNDS + 1))
