"""ClickHouse away under load: the worker waits in its group with a bounded buffer, then nothing is lost or doubled."""

from pathlib import Path

import pytest

from tests.faults.chaos_proxy import ChaosProxy
from tests.integration.conftest import StartPlatform
from tests.integration.expectations import GAP_ONLY, read_ecom
from tests.integration.outage import CHUNK, LIMIT, SMALL_BUFFER, cut_off, down, survive, suspended

pytestmark = [pytest.mark.integration, pytest.mark.no_cover, pytest.mark.timeout(300)]


def test_a_hanging_database_stops_reading_and_nothing_else(start_platform: StartPlatform, tmp_path: Path) -> None:
    platform = start_platform(**GAP_ONLY, **SMALL_BUFFER)
    buffered = survive(platform, read_ecom(tmp_path)[:12_000], suspended(12), per_second=800)
    assert LIMIT <= max(buffered) < LIMIT + CHUNK


def test_a_database_that_is_gone_stops_reading_and_nothing_else(start_platform: StartPlatform, tmp_path: Path) -> None:
    platform = start_platform(**GAP_ONLY, **SMALL_BUFFER)
    buffered = survive(platform, read_ecom(tmp_path)[:9_000], down(6), per_second=800)
    assert LIMIT <= max(buffered) < LIMIT + CHUNK


def test_a_worker_goes_on_by_way_of_another_address(start_platform: StartPlatform, tmp_path: Path) -> None:
    platform = start_platform(**GAP_ONLY)
    login, address = platform.stack.clickhouse_url.rstrip("/").rsplit("@", 1)
    with ChaosProxy(int(address.rsplit(":", 1)[1].split("/")[0])) as proxy:
        platform.settings["clickhouse"] = f"{login}@127.0.0.1:{proxy.port}/?alt_hosts={address.split('/')[0]}"
        survive(platform, read_ecom(tmp_path)[:4_000], cut_off(proxy), per_second=800)
        assert proxy.accepted > 0 and proxy.mode.kind == "reset"
