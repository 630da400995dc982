"""What came is compared with what is there: a lost row, a row twice and a row from nowhere are named."""

import json
import time
from typing import Any

import pytest

from schemas.topics import TOUCHPOINTS_REKEYED
from tests.console.running import journeys
from tests.integration.conftest import StartPlatform
from tests.integration.expectations import touchpoint
from tests.integration.harness import Feed, Platform

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]


def reconcile(platform: Platform, *options: str) -> tuple[int, dict[str, Any]]:
    changed = {"KAFKA": platform.stack.kafka, "CLICKHOUSE": platform.stack.clickhouse_url}
    result = journeys("reconcile", "--format", "json", *options, cwd=platform.directory, changed=changed)
    assert result.returncode in (0, 1), result.stderr
    return result.returncode, json.loads(result.stdout)


def named(found: dict[str, Any]) -> set[str]:
    return {name for hour in found["hours"] for name in hour["named"]}


def test_a_lost_a_doubled_and_a_strange_touchpoint_are_named(start_platform: StartPlatform) -> None:
    platform = start_platform()
    platform.wait_assigned(platform.start_worker())
    now_ms = time.time_ns() // 1_000_000
    records = [touchpoint(f"C-{number % 40}", f"e-{number}", now_ms - number * 60_000) for number in range(400)]
    broken = [Feed(b"customer_id:C-1", b"{"), Feed(b"customer_id:C-2", b"\xff")]
    platform.send([*records, *records[:25], *broken])
    platform.wait_idle()

    code, found = reconcile(platform)
    assert (code, found["is_right"], found["records"]) == (0, True, 427), found
    assert (found["refused"], found["repeats"], found["missing"]) == (2, 25, 0)
    assert sum(hour["records"] for hour in found["hours"]) == 427
    told = journeys("--data-dir", str(platform.directory), "rebuild", "--all", "--yes", cwd=platform.directory)
    assert told.returncode == 0, told.stderr
    platform.wait_idle()
    assert any(platform.broker_ends(TOUCHPOINTS_REKEYED).values()), "what asks for it is there"
    code, found = reconcile(platform)
    assert (code, found["is_right"], found["records"]) == (0, True, 427), found

    platform.writer.query(
        "DELETE FROM journeys.touchpoints WHERE event_id IN ('e-7', 'e-30') AND customer_id LIKE 'C-%'"
    )
    platform.writer.query(
        "INSERT INTO journeys.touchpoints SELECT * REPLACE (occurred_at + 1000 AS occurred_at) "
        "FROM journeys.touchpoints WHERE event_id = 'e-100'"
    )
    platform.writer.query(
        "INSERT INTO journeys.touchpoints SELECT * REPLACE ('ghost' AS event_id) "
        "FROM (SELECT * FROM journeys.touchpoints WHERE event_id = 'e-100' LIMIT 1)"
    )
    platform.writer.query(
        "ALTER TABLE journeys.dead_letters DELETE WHERE key = 'customer_id:C-2' SETTINGS mutations_sync = 1"
    )
    code, found = reconcile(platform, "--since", "all")
    assert (code, found["missing"], found["doubled"], found["strange"]) == (1, 4, 1, 1), found
    names = named(found)  # of e-7 both records
    assert {"doubled web/e-100", "strange web/ghost"} <= names
    assert {name.split()[2] for name in names if name.startswith("missing")} == {"web/e-7", "web/e-30", "/"}


def test_only_what_is_committed_and_asked_for_is_compared(start_platform: StartPlatform) -> None:
    platform = start_platform()
    worker = platform.start_worker()
    platform.wait_assigned(worker)
    now_ms = time.time_ns() // 1_000_000
    platform.send([touchpoint("C-1", f"e-{number}", now_ms) for number in range(10)])
    platform.wait_idle()
    worker.kill()
    platform.send([touchpoint("C-1", f"later-{number}", now_ms) for number in range(10)])

    assert reconcile(platform)[1]["records"] == 10
    code, found = reconcile(platform, "--since", "1ms")
    assert (code, found["records"], found["hours"]) == (0, 0, []), found


def test_what_was_of_an_erased_customer_is_not_missing(start_platform: StartPlatform) -> None:
    platform = start_platform()
    platform.wait_assigned(platform.start_worker())
    now_ms = time.time_ns() // 1_000_000
    platform.send([touchpoint(f"C-{number % 4}", f"e-{number}", now_ms - number * 60_000) for number in range(40)])
    platform.wait_idle()
    where = ("--data-dir", str(platform.directory))
    done = journeys(*where, "forget", "customer_id:C-1", "--yes", "--wait", "30s", cwd=platform.directory)
    assert done.returncode == 0, (done.stdout, done.stderr)
    code, found = reconcile(platform)
    assert (code, found["is_right"], found["records"], found["forgotten"]) == (0, True, 30, 10), found
