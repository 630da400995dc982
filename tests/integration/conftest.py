"""A platform of each test's own."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.integration.harness import Platform

StartPlatform = Callable[..., Platform]


@pytest.fixture
def start_platform(tmp_path: Path) -> Iterator[StartPlatform]:
    """Start a platform whose workers have the settings given, such as `journey_gap="30m"`."""
    with ExitStack() as opened:

        def start(partitions: int = 4, **settings: str) -> Platform:
            return opened.enter_context(Platform(tmp_path / "platform", settings, partitions))

        yield start
