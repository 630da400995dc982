"""`journeys backfill`: what files of history come to is what the stream makes of the same touchpoints."""

import gzip
import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from console.backfill_crew import Crew
from console.backfill_journal import find_unfinished
from console.backfill_run import Wanted, look_into, opened_run
from console.backfill_setup import Bench, Claims, Setup
from console.backfilling import Backfill
from deploy.services import clickhouse_client_options
from schemas.errors import Fenced
from schemas.identifiers import record_key, strongest
from schemas.moments import check_moment, to_epoch_ms
from schemas.settings import Settings
from sinks.state_store import claim_epoch
from tests.integration.backfill import (
    SETTINGS,
    assert_equal,
    backfill,
    environment,
    feed,
    results,
    shop_life,
    write_parquet,
)
from tests.integration.conftest import StartPlatform, starting
from tests.integration.ecom import assert_sessions
from tests.integration.expectations import GAP_ONLY, read_ecom
from tests.integration.harness import GROUP, ROOT, Platform, wait_until

Results = dict[str, list[str]]
pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


def stream(platform: Platform, touchpoints: list[dict[str, object]]) -> None:
    platform.send(map(feed, touchpoints))
    worker = platform.start_worker()
    platform.wait_idle(90)
    assert worker.terminate() == 0


def is_noted(platform: Platform, sought: str) -> bool:
    return any(sought in journal.read_text() for journal in platform.directory.glob("backfill-*/journal.json"))


@pytest.fixture(scope="module")
def life() -> list[dict[str, object]]:
    return shop_life()


@pytest.fixture(scope="module")
def streamed(life: list[dict[str, object]], tmp_path_factory: pytest.TempPathFactory) -> Results:
    """What the stream makes of it, but for what was first seen of identifiers: that depends on what was read when."""
    with starting(tmp_path_factory.mktemp("stream")) as start:
        platform = start(**SETTINGS)
        stream(platform, life)
        return results(platform, "first_seen_at")


def first_seen(life: list[dict[str, Any]]) -> dict[str, int]:
    """When each record key first came as that, in epoch milliseconds."""
    first: dict[str, int] = {}
    for each in life:
        occurred_ms = to_epoch_ms(check_moment(str(each["occurred_at"])))
        key = record_key(*strongest(each["identifiers"]))
        first[key] = min(first.get(key, occurred_ms), occurred_ms)
    return first


@pytest.mark.faults
def test_a_shop_with_anonymous_visits_is_what_the_stream_makes_of_it_whenever_the_backfill_is_killed(
    start_platform: StartPlatform, life: list[dict[str, object]], streamed: Results, tmp_path: Path
) -> None:
    file = write_parquet(tmp_path / "life.parquet", life)
    platform = start_platform(**SETTINGS)
    command = [sys.executable, "-m", "tests.integration.backfill_process", str(platform.directory), "4", str(file)]
    for sought in ('"0/2-3":', '"ranges":[', '"stitched":{"0"', '"1":{"customers"', None):
        process = subprocess.Popen(command, cwd=ROOT, env=environment(platform), stdin=subprocess.DEVNULL)
        try:
            if sought is not None:
                wait_until(partial(is_noted, platform, sought), f"{sought} in the journal", every=0.01)
                process.kill()
            code = process.wait(60)
        finally:
            process.kill()
    assert code == 0
    assert_equal(results(platform, "first_seen_at"), streamed)
    # A worker knows only what it had read when it decided; a backfill has read all.
    found = platform.query(
        "SELECT identifier, toUnixTimestamp64Milli(first_seen_at) FROM analytics.identity WHERE kind = 'anonymous_id'"
    )
    assert dict(found) == {identifier: first_seen(life).get(identifier) for identifier, _ in found}


def test_years_of_csv_by_a_mapping_give_the_sessions(start_platform: StartPlatform, tmp_path: Path) -> None:
    platform = start_platform(**GAP_ONLY, oldest_touchpoint="36500d")
    arguments = [str(ROOT / "tests/data/ecom.csv.gz"), "--mapping", str(ROOT / "producers/mappings/ecom.yaml")]
    told = backfill(platform, *arguments, "--json", "--processes", "1")
    assert told.returncode == 0, told.stderr
    said = json.loads(told.stdout)
    assert (said["touchpoints"], said["rejected"], said["journeys"]) == (31_106, 0, 3_605)
    assert_sessions(platform, read_ecom(tmp_path))
    told = backfill(platform, *arguments)
    assert (told.returncode, told.stderr) == (0, "") and len(told.stdout.splitlines()) == 1
    assert told.stdout.startswith("these files are loaded already, and there is nothing to do: --from-start")
    again = json.loads(backfill(platform, *arguments, "--json").stdout)
    assert (again["loaded_already"], said["loaded_already"], again["journeys"]) == (True, False, said["journeys"])
    told = backfill(platform, *arguments, identifier_key="k" * 32)
    assert (told.returncode, told.stderr) == (0, "")
    assert "nothing to do: they were loaded without an identifier key, and now k1 is set" in told.stdout


def test_history_joins_what_the_workers_know_already(
    start_platform: StartPlatform, life: list[dict[str, object]], streamed: Results, tmp_path: Path
) -> None:
    third = len(life) // 3
    # The middle is live before the rest is loaded; each part knows some of the same people under other identifiers.
    early, live, late = life[:third], life[third : 2 * third], life[2 * third :]
    platform = start_platform(**SETTINGS)
    stream(platform, live)
    told = backfill(platform, str(write_parquet(tmp_path / "early.parquet", early)), "--processes", "1", "--json")
    assert told.returncode == 0, told.stderr
    stream(platform, late)
    assert_equal(results(platform, "first_seen_at"), streamed)


def test_a_running_worker_is_in_the_way_and_so_is_one_that_starts(
    start_platform: StartPlatform, tmp_path: Path
) -> None:
    file = write_parquet(tmp_path / "life.parquet", shop_life(20, 1))
    platform = start_platform(**SETTINGS)
    worker = platform.start_worker()
    platform.wait_assigned(worker)
    told = backfill(platform, str(file))
    assert told.returncode == 1 and "a worker is running: stop `journeys up`" in told.stderr
    assert "start the servers alone with `journeys up --workers 0`" in told.stderr
    assert worker.terminate() == 0
    assert platform.query("SELECT count() FROM analytics.touchpoints") == [(0,)]
    setup = Setup(
        {**clickhouse_client_options(platform.stack.clickhouse_url, Settings())}, Settings(), platform.partitions,
        "backfill-test", 0, 0,
    )  # fmt: skip
    bench = Bench(setup)
    epochs = [claim_epoch(platform.writer, GROUP, number, "backfill").epoch for number in range(platform.partitions)]
    claims = Claims(epochs, [{}] * platform.partitions, [0] * platform.partitions)
    bench.check_claims(claims)
    claim_epoch(platform.writer, GROUP, 2, "a worker")
    with pytest.raises(Fenced, match="a worker has started meanwhile"):
        bench.check_claims(claims)
    bench.writer.close()


def row(event_id: str, day: int, **identifiers: str) -> dict[str, object]:
    return {
        "event_id": event_id, "source": "web", "type": "page_viewed", "occurred_at": f"2026-03-{day:02}T10:00:00Z",
        "identifiers": identifiers, "properties": {"url": "/"},
    }  # fmt: skip


def test_what_is_linked_keeps_its_history_and_what_came_twice_is_there_once(
    start_platform: StartPlatform, tmp_path: Path
) -> None:
    platform = start_platform(**SETTINGS)
    shared = [row(f"shared-{number}", 1, customer_id=f"C-{number}", device_id="tablet") for number in range(7)]
    alone = [row(f"alone-{number}", 2, device_id="tablet") for number in range(3)]
    twice = [row("twice", 3, customer_id="C-0"), row("twice", 4, customer_id="C-0")]
    first = write_parquet(tmp_path / "first.parquet", [*shared, *alone, *twice])
    assert backfill(platform, str(first), "--processes", "1").returncode == 0
    asked = "SELECT customer_id, touchpoints FROM analytics.journeys WHERE customer_id IN ('C-0', 'device_id:tablet')"
    before = [("C-0", 2), ("device_id:tablet", 3)]
    assert sorted(platform.query(asked)) == before
    assert platform.query("SELECT count() FROM analytics.touchpoints WHERE event_id = 'twice'") == [(1,)]
    # Nothing of the tablet's moves: it is only said once more that it was seen with somebody.
    second = write_parquet(tmp_path / "second.parquet", [row("more", 5, customer_id="C-9", device_id="tablet")])
    told = backfill(platform, str(second), "--processes", "1", "--json")
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)["journeys"] == 2, "C-9 is new, and the tablet was looked at"
    assert sorted(platform.query(asked)) == before


def test_a_worker_that_ran_while_a_backfill_was_stopped_is_noticed(
    start_platform: StartPlatform, tmp_path: Path
) -> None:
    platform = start_platform(**SETTINGS)
    file = write_parquet(tmp_path / "life.parquet", [row(f"old-{n}", 1 + n, customer_id="C-1") for n in range(4)])
    command = [sys.executable, "-m", "tests.integration.backfill_process", str(platform.directory), "4", str(file)]
    process = subprocess.Popen(command, cwd=ROOT, env=environment(platform), stdin=subprocess.DEVNULL)
    try:
        wait_until(partial(is_noted, platform, '"0/'), "something loaded", every=0.01)
    finally:
        process.kill()
        process.wait()
    stream(platform, [row("live", 6, customer_id="C-1")])
    subprocess.run(command, cwd=ROOT, env=environment(platform), stdin=subprocess.DEVNULL, check=True, timeout=60)
    assert platform.query("SELECT customer_id, touchpoints FROM analytics.journeys") == [("C-1", 5)]


# Not traced: an interruption while the tracer holds its lock has the process wait for itself for ever.
@pytest.mark.no_cover
def test_one_that_is_stopped_says_so_in_one_line_and_leaves_no_process(
    start_platform: StartPlatform, life: list[dict[str, object]], tmp_path: Path
) -> None:
    platform = start_platform(**SETTINGS)
    file = write_parquet(tmp_path / "life.parquet", life)
    command = [sys.executable, "-m", "console.cli", "--data-dir", str(platform.directory), "backfill", str(file)]
    # A terminal sends Ctrl-C to all of them, `kill` a SIGTERM to the one.
    for number, code, send in ((signal.SIGINT, 130, os.killpg), (signal.SIGTERM, 143, os.kill)):
        state = tmp_path / str(code)
        process = subprocess.Popen(
            [*command, "--processes", "2", "--state-dir", str(state)], cwd=ROOT, env=environment(platform), text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        try:
            wait_until(partial(has_begun, state), "a journal", every=0.01)
            send(process.pid, number)
            said = process.communicate(timeout=80)
            wait_until(partial(has_ended, process.pid), "the end of all its processes", seconds=20)
        finally:
            process.kill()
        assert (process.returncode, *said) == (code, "", "journeys: stopped: the same command goes on where it was\n")


def has_begun(state: Path) -> bool:
    return bool(find_unfinished(state))


def has_ended(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def test_files_that_turn_out_to_be_useless_leave_nothing_unfinished(
    start_platform: StartPlatform, tmp_path: Path
) -> None:
    platform = start_platform(**SETTINGS)
    odd, cut_off = tmp_path / "odd.ndjson", tmp_path / "cut.ndjson.gz"
    odd.write_text('{"a": 1}\n' * 10_000)
    lines = "".join(json.dumps(row(str(uuid4()), 1, customer_id="C-1")) + "\n" for _ in range(5_000))
    cut_off.write_bytes(gzip.compress(lines.encode())[:-20_000])
    for file, told in ((odd, "does the mapping fit (--mapping)?"), (cut_off, "ends early after line 4,")):
        done = backfill(platform, str(file))
        assert done.returncode == 1 and told in done.stderr, done.stderr
    assert find_unfinished(platform.directory) == []
    assert platform.query("SELECT count() FROM analytics.touchpoints") == [(0,)]


class CutOff(Backfill):
    """Ends where all is loaded and nothing is stitched."""

    def _claim(self, crew: Crew) -> Claims:
        raise KeyboardInterrupt


def test_what_another_run_had_loaded_when_it_was_cut_off_is_stitched_too(
    start_platform: StartPlatform, tmp_path: Path
) -> None:
    """Also where ClickHouse has kept that copy of a touchpoint and thrown away the one that was loaded again."""
    platform = start_platform(**SETTINGS)
    january = write_parquet(tmp_path / "january.parquet", [row(f"a-{n}", 1 + n, customer_id="C-1") for n in range(4)])
    february = write_parquet(tmp_path / "february.parquet", [row("b", 9, customer_id="C-2")])
    settings = Settings(data_dir=platform.directory, **SETTINGS)  # type: ignore[arg-type]
    wanted = Wanted([january], None, platform.directory, 1)
    with pytest.raises(KeyboardInterrupt), opened_run(wanted, look_into(wanted), settings) as run:
        CutOff(run, settings, platform.clickhouse_options, 4, lambda *_: None, lambda _: None).run()
    assert platform.query("SELECT uniqExact(event_id) FROM journeys.touchpoints") == [(4,)]
    assert platform.query("SELECT count() FROM analytics.journeys") == [(0,)]
    platform.query("OPTIMIZE TABLE journeys.touchpoints FINAL")
    assert backfill(platform, str(january), str(february), "--processes", "1").returncode == 0
    found = platform.query("SELECT customer_id, touchpoints FROM analytics.journeys ORDER BY 1")
    assert found == [("C-1", 4), ("C-2", 1)]


def test_what_is_no_touchpoint_is_kept_with_its_reason(start_platform: StartPlatform, tmp_path: Path) -> None:
    file = tmp_path / "rows.ndjson"
    good = {
        "event_id": "1", "source": "web", "type": "searched", "occurred_at": "2020-01-01T10:00:00Z",
        "identifiers": {"customer_id": "C-1"}, "properties": {"query": "sofa", "results": 3},
    }  # fmt: skip
    fact = {
        "event_id": "f", "source": "store", "type": "restocked", "occurred_at": "2020-01-01T10:00:00Z",
        "properties": {"sku": "S"},
    }  # fmt: skip
    bad = [{**good, "source": "moon"}, {**good, "occurred_at": "2020-01-01T10:00:00"}, {**good, "identifiers": {}}]
    lines = [json.dumps(each) for each in (good, *bad, fact)]
    file.write_text("\n".join([*lines, "not json", ""]), "utf-8")
    platform = start_platform()
    told = backfill(platform, str(file))
    assert told.returncode == 1
    assert "1 touchpoint loaded" in told.stdout and "1 fact loaded" in told.stdout and "4 of 6 rows" in told.stdout
    [kept] = platform.directory.glob("backfill-*/rejected.ndjson")
    rows = [json.loads(line) for line in kept.read_text().splitlines()]
    assert [(row["line"], row["reason"]) for row in rows] == [
        (2, "unknown_source"), (3, "naive_time"), (4, "no_identifier"), (6, "invalid_json"),
    ]  # fmt: skip
    assert platform.query("SELECT customer_id, type, toYear(occurred_at) FROM analytics.touchpoints") == [
        ("C-1", "searched", 2020)
    ]
    assert platform.query("SELECT sku, type FROM journeys.facts FINAL") == [("S", "restocked")]
