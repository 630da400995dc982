"""The present code goes on from what the workers of a release left behind, as if it had been there all along."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from deploy.local.stack import KafkaKind
from sinks.migrate import migrate
from tests.faults.release_state import assert_in_the_air
from tests.faults.stored_release import ABOUT, RELEASES, load_release, restore_release
from tests.integration.harness import Platform
from tests.integration.test_whole_warehouse import live_once, settle
from tests.integration.warehouse import deliver
from tests.integration.warehouse_views import compare

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

DIRECTORIES = sorted(path.parent for path in RELEASES.glob(f"*/{ABOUT}"))


ON_APACHE = pytest.param("migration-14-killed", "apache", marks=pytest.mark.apache_kafka)


@pytest.mark.parametrize(("name", "kafka"), [*((each.name, "memory") for each in DIRECTORIES), ON_APACHE])
def test_what_a_release_left_is_read_on(tmp_path: Path, name: str, kafka: KafkaKind) -> None:
    release = load_release(RELEASES / name)
    settings = dict(release.settings)
    with (
        ThreadPoolExecutor(1) as thread,
        Platform(tmp_path / "once", settings, release.partitions) as undisturbed,
        Platform(tmp_path / "upgraded", settings, release.partitions, kafka) as platform,
    ):
        undisturbed.query("SYSTEM STOP MERGES")
        once = thread.submit(live_once, undisturbed, release.life)
        restore_release(platform, release)
        assert_in_the_air(platform, has_links=bool(release.tables.get("identity_owners")))
        migrate(platform.clickhouse_options)
        platform.start_worker()
        deliver(platform, release.rest)
        assert compare(settle(platform), once.result()) == {}
