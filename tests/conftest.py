"""Fixtures that every folder of tests may use."""

import os
import signal
from collections.abc import Callable, Iterator

import hypothesis
import pytest

from deploy.local import apache_kafka
from deploy.local.stack import LocalStack
from tests.sinks import zookeeper_server

pytest_plugins = ["tests.faults.count_table"]
"""The process that only hands tests to others, as with pytest-xdist, reads this file alone."""

MISSING: dict[str, Callable[[], str | None]] = {
    "apache_kafka": apache_kafka.why_missing,
    "zookeeper": zookeeper_server.why_missing,
}
"""What says why tests with this mark cannot run."""


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave out what needs Apache Kafka or ZooKeeper where there is none, or fail there when it must be tested."""
    asked = [ask for mark, ask in MISSING.items() if item.get_closest_marker(mark)]
    missing = next((why for ask in asked if (why := ask())), None)
    if missing and os.environ.get("REQUIRE_APACHE_KAFKA"):
        pytest.fail(f"REQUIRE_APACHE_KAFKA is set: {missing}", pytrace=False)
    if missing:
        pytest.skip(missing)


# How long an example takes says more about the machine than about the code, so none is timed. The same code meets the
# same examples in every run, so that a change is judged by what it does; `--hypothesis-profile=fresh` looks elsewhere.
hypothesis.settings.register_profile("repeatable", deadline=None, derandomize=True)
hypothesis.settings.register_profile("fresh", deadline=None)
hypothesis.settings.load_profile("repeatable")


def pytest_configure() -> None:
    """Have Ctrl-C mean something to what tests start, also where they run in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """A real broker and a real ClickHouse, started once per test process; tests share it, so none may disturb it."""
    with LocalStack(tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest.fixture(autouse=True)
def trace_less(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that is marked `no_cover`, as slow ones are, starts processes that are not traced either."""
    if request.node.get_closest_marker("no_cover"):
        monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
