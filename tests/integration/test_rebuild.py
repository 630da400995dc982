"""`journeys rebuild` with a running worker: what came too late is in its journey afterwards."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.conftest import StartPlatform
from tests.integration.harness import ROOT, Feed, Platform

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]
CUSTOMERS = 40


def run(platform: Platform, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "console.cli", "--data-dir", str(platform.directory), "rebuild", *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def visit(customer: str, event_id: str, day: int, hour: int) -> Feed:
    body = {
        "event_id": f"{event_id}-{customer}", "source": "store", "type": "visit_started",
        "occurred_at": f"2026-09-{day:02}T{hour:02}:00:00Z", "identifiers": {"customer_id": customer},
    }  # fmt: skip
    return Feed(f"customer_id:{customer}".encode(), json.dumps(body).encode())


def sizes(platform: Platform) -> list[tuple[str, int]]:
    return sorted((customer, touchpoints) for customer, _, _, touchpoints in platform.journeys().values())


def test_what_came_too_late_joins_its_journey_when_its_customer_is_rebuilt(
    start_platform: StartPlatform, tmp_path: Path
) -> None:
    names = [f"C-{number}" for number in range(CUSTOMERS)]
    platform = start_platform(journey_gap="1d", allowed_lateness="1h", oldest_touchpoint="36500d")
    worker = platform.start_worker()
    platform.send(visit(name, what, 1, hour) for name in names for what, hour in (("first", 8), ("last", 12)))
    platform.wait_idle()
    platform.send(visit(name, "later", 20, 8) for name in names)
    platform.wait_idle()
    platform.send(visit(name, "late", 1, 10) for name in names)
    platform.wait_idle()
    before = sorted([(name, 1) for name in names] + [(name, 2) for name in names])
    assert sizes(platform) == before

    told = run(platform, "--since", "2026-09-01", "--until", "2026-09-02", "--dry-run", "--json")
    assert (told.returncode, json.loads(told.stdout)) == (0, {"customers": CUSTOMERS, "rebuilt": None})
    told = run(platform, "--customer", "C-7")
    assert (told.returncode, told.stdout) == (0, "1 customer rebuilt\n"), told.stderr
    assert [size for name, size in sizes(platform) if name == "C-7"] == [1, 3]
    assert sum(size for _, size in sizes(platform)) == 3 * CUSTOMERS + 1

    told = run(platform, "--all", "--json")
    assert (told.returncode, json.loads(told.stdout)) == (0, {"customers": CUSTOMERS, "rebuilt": CUSTOMERS})
    after = sorted([(name, 1) for name in names] + [(name, 3) for name in names])
    assert sizes(platform) == after
    assert platform.query("SELECT count(), countIf(late) FROM analytics.touchpoints") == [(4 * CUSTOMERS, 0)]

    worker.kill()
    told = run(platform, "--customer", "C-1", "--wait", "2s")
    assert told.returncode == 1 and "is a worker running" in told.stdout
    told = run(platform, "--customer", "nobody-such")
    assert told.returncode == 1 and "nobody is known under nobody-such: no stored touchpoint" in told.stderr
