"""Erasing a customer whose rows lie on several servers, each of which is searched byte by byte."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from schemas.links import forgotten_hash
from sinks import cluster_migration
from sinks.cluster_migration import find_cluster
from sinks.state_queries import FORGOTTEN
from sinks.writer import ClickHouseWriter
from tests.console.running import journeys, one_line
from tests.integration.canary import EMAIL, KEYS, SECRETS, TRACES, Planter, confirm, store_plainly, trace_files
from tests.integration.harness import Platform
from tests.integration.test_forget import neighbours_are_whole
from tests.sinks.cluster_servers import CLUSTER, Shards, running_shards

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]


class SpreadPlatform(Platform):
    """Its ClickHouse is a cluster of two shards; it is spoken to by way of the first."""

    shards: Shards

    @property
    def url(self) -> str:
        first = self.shards.erasers[0]
        return "clickhouse://{user}:{password}@{host}:{port}/".format(**first)

    def _make_tables(self, opened: ExitStack) -> dict[str, Any]:
        self.shards = opened.enter_context(running_shards(self.directory / "servers"))
        options = self.shards.administrators[0]
        cluster_migration.migrate(find_cluster(options, CLUSTER, is_replicated=False))
        return options


@pytest.fixture
def spread(tmp_path: Path) -> Iterator[SpreadPlatform]:
    platform = SpreadPlatform(tmp_path / "platform")
    with platform:
        yield platform


def test_an_erased_customer_is_on_no_server_any_more(spread: SpreadPlatform) -> None:
    for options in spread.shards.administrators:
        with closing(ClickHouseWriter(options)) as writer:
            store_plainly(writer.query)
    with Planter(spread) as planter:
        planter.plant_tables()
        planter.plant_topics()
    homes = [trace_files(spread.directory / "servers" / place.name) for place in spread.shards.places]
    assert all(homes) and homes[0].keys() | homes[1].keys() == set(TRACES), "each server holds something of them"
    confirm(spread)

    where, settings = spread.directory, {"JOURNEYS_CLICKHOUSE": spread.url, "JOURNEYS_KAFKA": spread.stack.kafka}
    arguments = ("--data-dir", str(where), "forget", f"email:{EMAIL}", "--yes", "--json")
    done = journeys(*arguments, cwd=where.parent, changed={**SECRETS, **settings})
    assert done.returncode == 0, (done.stdout, done.stderr)
    receipt = json.loads(done.stdout)
    assert receipt["clean"] and {each["sha256"] for each in receipt["erased"]} == set(map(forgotten_hash, KEYS))
    assert {place["name"]: place["found"] for place in receipt["tables"]}["journeys.touchpoints"] == 3
    assert trace_files(spread.directory / "servers") == {}
    assert {row[0] for row in spread.query(FORGOTTEN)} == set(map(forgotten_hash, KEYS))
    neighbours_are_whole(spread)

    # What one server keeps cannot be seen to while it is away.
    spread.shards.process(1).stop()
    refused = journeys(*arguments, cwd=where.parent, changed={**SECRETS, **settings})
    assert refused.returncode != 0 and "clickhouse" in one_line(refused.stderr).lower()
