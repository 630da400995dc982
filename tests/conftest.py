"""Fixtures that every folder of tests may use."""

from collections.abc import Iterator

import pytest

from deploy.local.stack import LocalStack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """A real broker and a real ClickHouse, started once per test process; tests share it, so none may disturb it."""
    with LocalStack(tmp_path_factory.mktemp("stack")) as running:
        yield running
