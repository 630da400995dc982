"""Erasing a customer: planted in every table and topic, then searched for byte by byte.

What a worker does of its own is not part of this: its states are planted, and its answer is given for it.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from console.forgetting_tables import NOT_OF_CUSTOMERS, purge, read_tables, uncovered
from schemas.links import forgotten_hash
from schemas.topics import ALERT_ACTIONS, FRICTION_ALERTS, IDENTITY_LINKS
from sinks.state_queries import FORGOTTEN
from tests.console.running import journeys, one_line
from tests.integration.canary import (
    ALERT,
    EMAIL,
    KEYS,
    OTHER,
    SECRETS,
    TABLET,
    TRACES,
    Planter,
    confirm,
    standing_records,
    store_plainly,
    tables_with_traces,
    trace_files,
)
from tests.integration.conftest import StartPlatform
from tests.integration.harness import Platform

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]


def plant(platform: Platform, *, plainly: bool = False) -> None:
    with Planter(platform) as planter:
        if plainly:
            store_plainly(platform.query)
        planter.plant_tables()
        planter.plant_topics()


def forget(platform: Platform, *arguments: str) -> subprocess.CompletedProcess[str]:
    where = platform.directory
    return journeys("--data-dir", str(where), "forget", *arguments, cwd=where.parent, changed=SECRETS)


def receipt_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def test_nothing_of_an_erased_customer_is_left_and_all_of_the_others_is(
    start_platform: StartPlatform, tmp_path: Path
) -> None:
    platform = start_platform()
    plant(platform, plainly=True)
    tables = {table.name for table in read_tables(platform.writer)}
    assert uncovered(read_tables(platform.writer)) == []
    of_customers = tables - NOT_OF_CUSTOMERS.keys()
    assert {f"journeys.{name}" for name in tables_with_traces(platform)} == of_customers
    assert trace_files(platform.directory).keys() == set(TRACES)

    unasked = forget(platform, KEYS[0])
    assert unasked.returncode == 1 and "--yes" in one_line(unasked.stderr)
    looked = receipt_of(forget(platform, f"email:{EMAIL}", "--dry-run", "--json"))
    assert {place["name"] for place in looked["tables"] if place["found"]} == of_customers | {
        "journeys.touchpoints (taken out of others' rows)",
        "journeys.alert_actions (notes emptied)",
    }
    assert trace_files(platform.directory).keys() == set(TRACES) and platform.query(FORGOTTEN) == []
    confirm(platform)

    file = tmp_path / "receipt.json"
    done = forget(platform, f"email:{EMAIL}", "--yes", "--scan-topics", "--receipt", str(file), "--json")
    assert done.returncode == 0, (done.stdout, done.stderr)
    receipt = receipt_of(done)
    assert json.loads(file.read_text("utf-8")) == receipt
    assert receipt["clean"] and receipt["left"] == {}
    assert {each["sha256"] for each in receipt["erased"]} == set(map(forgotten_hash, KEYS))
    assert [each["sha256"] for each in receipt["shared"]] == [forgotten_hash(f"device_id:{TABLET}")]
    assert [trace for trace in TRACES if trace in done.stdout.replace(f'"asked": "email:{EMAIL}"', "")] == []
    beyond = {each["name"]: each["found"] for each in receipt["beyond"]}
    assert beyond["topic touchpoints"] == 1 and beyond["topic dead-letters"] == 1

    assert trace_files(platform.directory) == {}
    assert {row[0] for row in platform.query(FORGOTTEN)} == set(map(forgotten_hash, KEYS))
    for topic in (IDENTITY_LINKS, FRICTION_ALERTS, ALERT_ACTIONS):
        standing = standing_records(platform, topic)
        assert len(standing) == 1, (topic, standing)
        assert not [trace for trace in TRACES if trace.encode() in b"".join([*standing, *standing.values()])]
    assert ALERT.encode() not in standing_records(platform, FRICTION_ALERTS)
    neighbours_are_whole(platform)


def neighbours_are_whole(platform: Platform) -> None:
    for table in ("touchpoints", "journeys", "promises", "alerts"):
        assert platform.query(f"SELECT customer_id FROM journeys.{table}") == [(OTHER,)], table
    assert platform.query("SELECT identifiers, via, _via_versions FROM journeys.touchpoints") == [
        ({"customer_id": OTHER}, ["email:x"], [2])
    ]
    counts = {"alert_actions": 3, "customer_state": 1, "dead_letters": 1, "dead_letter_replays": 1, "interest": 2}
    for table, count in {**counts, "identity_links": 1, "identity_owners": 1, "journey_redirects": 1}.items():
        assert platform.query(f"SELECT count() FROM journeys.{table}") == [(count,)], table


def test_without_a_worker_the_order_stays_until_one_has_obeyed(start_platform: StartPlatform) -> None:
    platform = start_platform()
    plant(platform)
    done = forget(platform, KEYS[0], "--yes", "--wait", "0s")
    assert done.returncode == 1
    assert "no worker has confirmed" in done.stdout and "run the same command again" in done.stdout
    standing = standing_records(platform, IDENTITY_LINKS)
    assert sum(key.endswith(b"\x1fforgotten") for key in standing) == len(KEYS)
    confirm(platform)
    # All links are gone by now: what was ordered tells who the customer was.
    again = forget(platform, KEYS[0], "--yes", "--json")
    assert again.returncode == 0, again.stdout
    assert len(receipt_of(again)["erased"]) == len(KEYS)
    assert [key for key in standing_records(platform, IDENTITY_LINKS) if OTHER.encode() not in key] == []


def test_a_table_or_customer_that_nobody_has_heard_of(start_platform: StartPlatform) -> None:
    platform = start_platform()
    unknown = forget(platform, "email:nobody@example.com", "--yes")
    assert unknown.returncode == 1 and "nothing is stored under" in one_line(unknown.stderr)
    assert platform.query(FORGOTTEN) == []
    make = "CREATE TABLE journeys.{} ({} String) ENGINE = MergeTree ORDER BY tuple() SETTINGS old_parts_lifetime = 400"
    for name, column in (("later", "customer_id"), ("odd", "person")):
        platform.query(make.format(name, column))
        with Planter(platform) as planter:
            # Packed as workers pack their state: next to bytes that are no text.
            planter.row(name, **{column: TRACES[0] if name == "later" else b"\xa9\xff" + TRACES[0].encode() + b"\xc0"})
    confirm(platform)
    assert uncovered(read_tables(platform.writer)) == ["journeys.odd"]
    done = forget(platform, KEYS[0], "--yes", "--json")
    assert done.returncode == 1
    assert receipt_of(done)["left"] == {"journeys.odd.person": 1}
    assert platform.query("SELECT count() FROM journeys.later") == [(0,)]
    assert tables_with_traces(platform) == {"odd"}
    [later] = [table for table in read_tables(platform.writer) if table.name == "journeys.later"]
    assert "old_parts_lifetime = 400" in later.engine and purge(platform.writer, later, seconds=9) == 0

    platform.query("DROP TABLE journeys.odd SYNC")
    blocked = forget(platform, "customer_id:C-NOBODY", "--block", "--json")
    assert blocked.returncode == 0 and receipt_of(blocked)["found"] == 0
    assert (forgotten_hash("customer_id:C-NOBODY"),) in platform.query(FORGOTTEN)


@pytest.mark.faults
@pytest.mark.apache_kafka
def test_compacted_topics_of_apache_kafka_are_read_to_their_ends(start_platform: StartPlatform) -> None:
    platform = start_platform(kafka="apache")
    plant(platform)
    waiting = forget(platform, KEYS[0], "--yes")
    assert waiting.returncode == 1 and "no worker has confirmed" in waiting.stdout
    confirm(platform)
    done = forget(platform, KEYS[0], "--yes", "--json")
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert [key for key in standing_records(platform, IDENTITY_LINKS) if OTHER.encode() not in key] == []
