"""A ClickHouse of these tests' own: they drop databases and change settings that other tests rely on."""

from collections.abc import Iterator
from typing import Any

import pytest

from deploy.local.stack import LocalStack
from deploy.services import clickhouse_client_options
from schemas.settings import Settings
from sinks.migrate import migrate
from sinks.tables import FILLED, TABLES
from sinks.writer import ClickHouseWriter, MemoryWriter, Writer


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with LocalStack(tmp_path_factory.mktemp("sinks"), run_kafka=False) as running:
        yield running


@pytest.fixture
def options(server: LocalStack) -> dict[str, Any]:
    """Client options of the administrating user."""
    return clickhouse_client_options(server.clickhouse_url, Settings())


@pytest.fixture
def analyst_options(server: LocalStack) -> dict[str, Any]:
    return clickhouse_client_options(server.analyst_url, Settings())


@pytest.fixture
def clickhouse(options: dict[str, Any]) -> Iterator[ClickHouseWriter]:
    """A writer to the current schema with nothing in it."""
    migrate(options)
    writer = ClickHouseWriter(options)
    for name in (*(table.name for table in TABLES), *FILLED):
        writer.query(f"TRUNCATE TABLE {name}")
    yield writer
    writer.close()


@pytest.fixture
def analyst(clickhouse: ClickHouseWriter, analyst_options: dict[str, Any]) -> Iterator[ClickHouseWriter]:
    """What an analyst can do with the tables behind `clickhouse`."""
    writer = ClickHouseWriter(analyst_options)
    yield writer
    writer.close()


@pytest.fixture(params=["memory", pytest.param("clickhouse", marks=pytest.mark.integration)])
def writer(request: pytest.FixtureRequest) -> Writer:
    """Each implementation of `Writer` in turn, empty."""
    if request.param == "memory":
        return MemoryWriter()
    made: Writer = request.getfixturevalue("clickhouse")
    return made
