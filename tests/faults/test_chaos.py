"""Networks that delay, swallow, reset, half close and throttle, under load: the ledger is what there is afterwards.

The seed is printed with the rest of a failing test; its ledger and what was seen stay in the test's directory.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from deploy.local.stack import KafkaKind
from tests.faults.audit import hold_against_ledger, settle
from tests.faults.chaos_platform import ChaosPlatform
from tests.faults.chaos_proxy import KINDS, ChaosProxy, Mode
from tests.faults.ledger import Event, Ledger, generate, send_noted
from tests.integration.expectations import GAP_ONLY

pytestmark = [
    pytest.mark.faults,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.usefixtures("collected"),
]

EVENTS, PER_SECOND, FAULT_SECONDS, CUTS = 600, 250, 1.5, 3
WAYS = tuple(kind for kind in KINDS if kind != "pass")


def test_links_misbehave_in_many_ways(tmp_path: Path, seed: int) -> None:
    """Of five ways two in each round, each on three links in turn; after each of them all is as the ledger says."""
    disturb_links(tmp_path, seed, "memory", 2)


@pytest.mark.apache_kafka
def test_links_to_apache_kafka_misbehave(tmp_path: Path, seed: int) -> None:
    """One of the five ways in each round."""
    disturb_links(tmp_path, seed, "apache", 1)


def disturb_links(tmp_path: Path, seed: int, kafka: KafkaKind, ways: int) -> None:
    """Have each link misbehave in so many ways; each seed goes on where the one before it ended."""
    print(f"seed {seed}")
    chosen = random.Random(seed)
    kinds = [WAYS[(seed * ways + number) % len(WAYS)] for number in range(ways)]
    with (
        ChaosPlatform(tmp_path / "platform", dict(GAP_ONLY), kafka=kafka) as platform,
        Ledger(tmp_path / "ledger") as ledger,
    ):
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
            hold_against_ledger(platform, ledger.path, events)
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


def assert_that_it_could_have_failed(platform: ChaosPlatform, ledger: Ledger) -> None:
    """A row that is taken away, and one that nobody sent, are found."""
    columns = "* REPLACE (concat(event_id, '-again') AS event_id)"
    platform.query(f"INSERT INTO journeys.touchpoints SELECT {columns} FROM journeys.touchpoints FINAL LIMIT 1")
    platform.query(
        "INSERT INTO journeys.touchpoints SELECT * REPLACE (1 AS _is_deleted, _version + 1 AS _version) "
        "FROM journeys.touchpoints FINAL ORDER BY event_id LIMIT 1"
    )
    findings, _ = settle(platform, ledger.path)
    assert (len(findings.lost), len(findings.foreign)) == (1, 1)
    assert len({*findings.checksums.values()}) == 2
