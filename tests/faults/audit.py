"""What there is once the worker has done all that was sent, held against a ledger."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from schemas.topics import TOUCHPOINTS
from tests.faults.checker import Findings, Seen, check, read_tables, read_topic
from tests.faults.ledger import Event, read_ledger
from tests.integration.expectations import differences, expect
from tests.integration.harness import Platform, wait_until

STOPPED = 70


def hold_against_ledger(platform: Platform, ledger: Path, events: Sequence[Event]) -> None:
    """Wait until the worker has done all that is in the topic; then nothing is lost, doubled, altered or foreign."""
    findings, seen = settle(platform, ledger)
    print(findings)
    if not findings.is_clean:
        history = ledger.with_name("seen.json")
        history.write_text(json.dumps(seen, default=repr, indent=1), "utf-8")
        raise AssertionError(f"{findings}\nwhat was sent: {ledger}, what was found: {history}")
    assert_journeys(platform, events)


def settle(platform: Platform, ledger: Path) -> tuple[Findings, Seen]:
    """What there is once the worker has done all that is in the topic; one that had to give up is replaced."""
    assert {worker.exit_code for worker in platform.workers} <= {None, STOPPED}
    if not platform.alive():
        platform.start_worker()
    records = read_topic(platform.kafka_options, TOUCHPOINTS, platform.partitions)
    wait_until(lambda: sum(platform.committed().values()) >= len(records), "all that is in the topic to be committed")
    seen = Seen(records, *read_tables(platform.clickhouse_options))
    return check(read_ledger(ledger), seen), seen


def assert_journeys(platform: Platform, events: Sequence[Event]) -> None:
    """Journeys are what the gap rule gives of the touchpoints that are there."""
    present = {event_id for _, event_id in platform.members()}
    expected = expect(event.record for event in events if event.id in present)
    found = differences(platform.members(), expected.members) + differences(platform.journeys(), expected.journeys)
    assert not found, "\n".join(found)
