"""A ClickHouse with the simulated shop in it, and an empty one for histories of a test's own."""

from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from typing import Any

import pytest

from deploy.local.stack import LocalStack
from deploy.services import clickhouse_client_options
from producers.simulator.shop import Shop
from schemas.moments import check_moment
from schemas.settings import Settings
from sinks.migrate import migrate
from sinks.tables import FILLED, TABLES
from sinks.writer import ClickHouseWriter
from tests.marts.loading import load

SHOP_START = "2026-09-01T00:00:00+03:00"
SHOP_TOUCHPOINTS, SHOP_CUSTOMERS, SHOP_SEED = 12_000, 600, 7

Load = Callable[..., ClickHouseWriter]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with LocalStack(tmp_path_factory.mktemp("marts"), run_kafka=False) as running:
        migrate(clickhouse_client_options(running.clickhouse_url, Settings()))
        yield running


@pytest.fixture(scope="module")
def shop(server: LocalStack) -> Iterator[ClickHouseWriter]:
    """The analyst's view of 12,000 touchpoints of 600 simulated customers from 2026-09-01 on, with all rules."""
    with closing(_connect(server.clickhouse_url)) as administrator:
        _empty(administrator)
        shop = Shop(SHOP_SEED, check_moment(SHOP_START), SHOP_CUSTOMERS, personal=False)
        load(administrator, islice(shop.touchpoints(), SHOP_TOUCHPOINTS))
    with closing(_connect(server.analyst_url)) as analyst:
        yield analyst


@pytest.fixture
def history(server: LocalStack) -> Iterator[Load]:
    """Call it with what `tests.marts.loading.load` takes, to get the analyst's view of that. Not beside `shop`."""
    with closing(_connect(server.clickhouse_url)) as administrator, closing(_connect(server.analyst_url)) as analyst:
        _empty(administrator)

        def make(touchpoints: Any, **options: Any) -> ClickHouseWriter:
            load(administrator, touchpoints, **options)
            return analyst

        yield make


def _connect(url: str) -> ClickHouseWriter:
    return ClickHouseWriter(clickhouse_client_options(url, Settings()))


def _empty(administrator: ClickHouseWriter) -> None:
    for name in (*(table.name for table in TABLES), *FILLED):
        administrator.query(f"TRUNCATE TABLE {name}")
