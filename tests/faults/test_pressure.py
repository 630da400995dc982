"""ClickHouse runs out of parts, memory or disk, or dies in the midst of inserts; then all is as if it had not."""

import random
import shutil
from pathlib import Path

import pytest

from schemas.errors import Misconfigured
from sinks.migrate import MIGRATIONS, migrate
from tests.faults.conftest import USUAL
from tests.faults.pressure import (
    MEBIBYTE,
    PER_SECOND,
    PressedPlatform,
    Pressure,
    assert_patient,
    endure,
    kill_at_rename,
    need_small_disk,
    no_bytes,
    no_files,
    no_memory,
    remember_blocks,
    too_little_space,
    too_many_parts,
    wait_stuck,
    why_no_strace,
)
from tests.integration.conftest import StartPlatform
from tests.integration.ecom import shuffle, wait_for_progress
from tests.integration.expectations import GAP_ONLY, assert_exact, expect, read_ecom
from tests.integration.harness import Feed, Platform
from tests.integration.outage import CHUNK, LIMIT, SMALL_BUFFER, Watch, survive

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

RECORDS, RENAME_KILLS = 12_000, 3
REFUSED = r"\(252\): Too many parts"
SETTINGS = {**GAP_ONLY, **SMALL_BUFFER}


@pytest.fixture
def records(tmp_path: Path) -> list[Feed]:
    return read_ecom(tmp_path)[:RECORDS]


@pytest.mark.parametrize("table", ["touchpoints", "partition_progress"])
def test_too_many_parts_in_the_first_or_the_last_table_written(
    start_platform: StartPlatform, records: list[Feed], table: str
) -> None:
    endure(start_platform(**SETTINGS), records, too_many_parts(f"journeys.{table}"), REFUSED)


def test_a_worker_killed_while_clickhouse_refuses(start_platform: StartPlatform, records: list[Feed]) -> None:
    """Its last flush got as far as the customers' states; the next worker gets no further until they are taken."""
    platform = start_platform(**SETTINGS)
    worker = platform.start_worker()
    with platform.sending(records, PER_SECOND):
        wait_for_progress(platform)
        with too_many_parts("journeys.customer_state")(platform):
            wait_stuck(platform, worker, REFUSED)
            worker = platform.restart(worker)
            wait_stuck(platform, worker, REFUSED)
    platform.wait_idle()
    assert worker.exit_code is None
    assert_exact(platform, expect(records))


def test_less_space_than_is_to_be_kept_free(start_platform: StartPlatform, records: list[Feed]) -> None:
    endure(start_platform(**SETTINGS), records, too_little_space, r"\(243\): .*free space")


def test_no_memory_left(tmp_path: Path, records: list[Feed]) -> None:
    with PressedPlatform(tmp_path / "platform", dict(SETTINGS), kafka=USUAL, memory_bytes=400 * MEBIBYTE) as platform:
        endure(platform, records, no_memory, r"\(241\): \(total\) memory limit exceeded")


@pytest.mark.parametrize(
    ("pressure", "says"),
    [(no_bytes, r"\(243\): Cannot reserve .* not enough space"), (no_files, "No space left on device")],
    ids=["bytes", "files"],
)
def test_the_disk_is_full(tmp_path: Path, records: list[Feed], pressure: Pressure, says: str) -> None:
    need_small_disk(tmp_path)
    with PressedPlatform(tmp_path / "platform", dict(SETTINGS), kafka=USUAL, disk_bytes=128 * MEBIBYTE) as platform:
        endure(platform, records, pressure, says)


def test_a_schema_is_not_changed_on_a_full_disk(tmp_path: Path) -> None:
    need_small_disk(tmp_path)
    more = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, more)
    (more / "9999_more.sql").write_text("ALTER TABLE journeys.touchpoints ADD COLUMN more String;\n")
    with PressedPlatform(tmp_path / "platform", kafka=USUAL, disk_bytes=128 * MEBIBYTE) as platform:
        with no_bytes(platform), pytest.raises(Misconfigured, match="disk has 0 MiB left"):
            migrate(platform.clickhouse_options, more)
        assert [each.version for each in migrate(platform.clickhouse_options, more)] == [9999]


def test_killed_before_a_part_has_its_name(
    start_platform: StartPlatform, tmp_path: Path, records: list[Feed], seed: int
) -> None:
    """One insert names a part for each month: some months are there then, and some are not.

    Of those that are not, ClickHouse has noted already that it has had them.
    """
    if missing := why_no_strace():
        pytest.skip(missing)
    chosen, hits = random.Random(seed), list[str]()

    def kill(platform: Platform, watch: Watch) -> None:
        for number in range(RENAME_KILLS):
            wait_for_progress(platform)
            database, log = platform.stack.process("clickhouse"), tmp_path / f"renames-{number}"
            hits.append(kill_at_rename(database, chosen.randint(1, 10), watch, log))

    platform = start_platform(**SETTINGS)
    remember_blocks(platform)
    buffered = survive(platform, shuffle(records, seed), kill, PER_SECOND)
    inserting = ["tmp_insert" in each for each in hits]
    print(f"{sum(inserting)} of {len(hits)} kills came while an insert ran:", *hits, sep="\n")
    assert any(inserting) and max(buffered) < LIMIT + CHUNK
    assert_patient(platform.workers[0])
