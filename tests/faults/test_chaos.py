"""Networks that delay, swallow, reset, half close and throttle, under load: the ledger is what there is afterwards.

The seed is printed with the rest of a failing test; its ledger and what was seen stay in the test's directory.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from schemas.topics import TOUCHPOINTS
from tests.faults.chaos_platform import ChaosPlatform
from tests.faults.chaos_proxy import KINDS, ChaosProxy, Mode
from tests.faults.checker import Findings, Seen, check, read_tables, read_topic
from tests.faults.ledger import Event, Ledger, generate, read_ledger, send_noted
from tests.integration.expectations import GAP_ONLY, differences, expect
from tests.integration.harness import wait_until

pytestmark = [
    pytest.mark.faults,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.usefixtures("collected"),
]

EVENTS, PER_SECOND, FAULT_SECONDS = 600, 250, 1.5
MODES_A_ROUND, CUTS = 2, 3
WAYS = tuple(kind for kind in KINDS if kind != "pass")
STOPPED = 70


def test_links_misbehave_in_many_ways(tmp_path: Path, seed: int) -> None:
    """Of five ways two in each round, each on three links in turn; after each of them all is as the ledger says."""
    print(f"seed {seed}")
    chosen = random.Random(seed)
    kinds = [WAYS[(seed * MODES_A_ROUND + number) % len(WAYS)] for number in range(MODES_A_ROUND)]
    with ChaosPlatform(tmp_path / "platform", dict(GAP_ONLY)) as platform, Ledger(tmp_path / "ledger") as ledger:
        links = {
            "clickhouse": platform.clickhouse_link, "worker": platform.worker_link, "producer": platform.producer_link,
        }  # fmt: skip
        plan = [(kind, name) for kind in kinds for name in links]
        events = generate(seed, EVENTS * len(plan))
        platform.wait_assigned(platform.start_worker())
        for number, (kind, name) in enumerate(plan):
            part = events[number * EVENTS : (number + 1) * EVENTS]
            print(f"{kind} between {name} and its server")
            send_through(platform, ledger, part, links[name], Mode(kind), chosen)
            hold_against_ledger(platform, ledger, events)
        assert_that_it_could_have_failed(platform, ledger)


def send_through(
    platform: ChaosPlatform,
    ledger: Ledger,
    events: Sequence[Event],
    link: ChaosProxy,
    mode: Mode,
    chosen: random.Random,
) -> None:
    """Send events while a link misbehaves for a while; what is held back comes through then, or is cut off.

    What is slow, or hears no answer, is always cut: so it happens in the midst of an insert, or after it.
    """
    is_patient, is_cut = chosen.random() < 0.5, mode.kind in ("throttle", "half_open") or chosen.random() < 0.5
    with ThreadPoolExecutor(1) as thread:
        sent = thread.submit(
            send_noted,
            ledger,
            events,
            platform.producer_options,
            platform.partitions,
            PER_SECOND,
            is_patient=is_patient,
        )
        time.sleep(chosen.uniform(0.3, 0.6))
        before = link.accepted
        with link.misbehaving(mode):
            for _ in range(CUTS):
                time.sleep(FAULT_SECONDS / CUTS)
                if is_cut:
                    link.cut()
            assert not sent.done()
        sent.result()
    print(f"patient {is_patient}, cut {is_cut}, {link.accepted - before} new connections")


def hold_against_ledger(platform: ChaosPlatform, ledger: Ledger, events: Sequence[Event]) -> None:
    """Wait until the worker has done all that is in the topic; then nothing is lost, doubled, altered or foreign."""
    findings, seen = settle(platform, ledger)
    print(findings)
    if not findings.is_clean:
        history = ledger.path.with_name("seen.json")
        history.write_text(json.dumps(seen, default=repr, indent=1), "utf-8")
        raise AssertionError(f"{findings}\nwhat was sent: {ledger.path}, what was found: {history}")
    assert_journeys(platform, events)


def settle(platform: ChaosPlatform, ledger: Ledger) -> tuple[Findings, Seen]:
    """What there is once the worker has done all that is in the topic; one that had to give up is replaced."""
    assert {worker.exit_code for worker in platform.workers} <= {None, STOPPED}
    if not platform.alive():
        platform.start_worker()
    records = read_topic(platform.kafka_options, TOUCHPOINTS, platform.partitions)
    wait_until(lambda: sum(platform.committed().values()) >= len(records), "all that is in the topic to be committed")
    seen = Seen(records, *read_tables(platform.clickhouse_options))
    return check(read_ledger(ledger.path), seen), seen


def assert_journeys(platform: ChaosPlatform, events: Sequence[Event]) -> None:
    """Journeys are what the gap rule gives of the touchpoints that are there."""
    present = {event_id for _, event_id in platform.members()}
    expected = expect(event.record for event in events if event.id in present)
    found = differences(platform.members(), expected.members) + differences(platform.journeys(), expected.journeys)
    assert not found, "\n".join(found)


def assert_that_it_could_have_failed(platform: ChaosPlatform, ledger: Ledger) -> None:
    """A row that is taken away, and one that nobody sent, are found."""
    columns = "* REPLACE (concat(event_id, '-again') AS event_id)"
    platform.query(f"INSERT INTO journeys.touchpoints SELECT {columns} FROM journeys.touchpoints FINAL LIMIT 1")
    platform.query(
        "INSERT INTO journeys.touchpoints SELECT * REPLACE (1 AS _is_deleted, _version + 1 AS _version) "
        "FROM journeys.touchpoints FINAL ORDER BY event_id LIMIT 1"
    )
    findings, _ = settle(platform, ledger)
    assert (len(findings.lost), len(findings.foreign)) == (1, 1)
    assert len({*findings.checksums.values()}) == 2
