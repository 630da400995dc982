"""A platform of each test's own."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from deploy.local.stack import KafkaKind
from tests.integration.harness import Platform

StartPlatform = Callable[..., Platform]


@contextmanager
def starting(directory: Path, usual: KafkaKind = "memory") -> Iterator[StartPlatform]:
    """Yield what starts platforms under `directory`, and end them afterwards."""
    with ExitStack() as opened:

        def start(partitions: int = 4, kafka: KafkaKind = usual, brokers: int = 1, **settings: str) -> Platform:
            return opened.enter_context(Platform(directory, settings, partitions, kafka, brokers))

        yield start


@pytest.fixture
def start_platform(tmp_path: Path) -> Iterator[StartPlatform]:
    """Start a platform whose workers have the settings given, such as `journey_gap="30m"`.

    A test that asks for Apache Kafka is marked `apache_kafka`.
    """
    with starting(tmp_path / "platform") as start:
        yield start
