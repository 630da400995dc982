"""Keeps the state that a release leaves behind, for `test_upgrade`: `python -m tests.faults.release_state DIRECTORY`.

Half of a shop's life goes to a worker of the release, which is then stopped, or killed in the midst of a flush; what
tables and topics hold then is kept, with the other half. The release is the present code, or with `--code` another
checkout.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from sinks.migrate import migrate
from tests.faults.stored_release import empty_server, last_migration, save_release, take_release
from tests.integration.harness import ROOT, Platform
from tests.integration.warehouse import OF_ANY_AGE, Delivery, deliver, live, refused

TOUCHPOINTS_EACH = 20
KILLED_AT_PER_SECOND = 50
UNFINISHED_SQL = """
SELECT count() FROM journeys.journeys AS j
INNER JOIN (SELECT epoch, max(flush) AS flush FROM journeys.partition_progress GROUP BY epoch) AS p
    ON p.epoch = bitShiftRight(j._version, 32)
WHERE bitAnd(j._version, 4294967295) > p.flush
"""
"""Rows of a flush that was not completed."""
STATES_SQL = (
    "SELECT count() FROM journeys.customer_state FINAL WHERE segment = 0 AND reinterpretAsUInt8(substring(blob, 2, 1))"
)
IN_THE_AIR = {
    "journeys": "SELECT count() FROM journeys.journeys FINAL WHERE status = 'open'",
    "promises": "SELECT count() FROM journeys.promises FINAL WHERE status = 'open'",
    "alerts": "SELECT count() FROM journeys.alerts FINAL WHERE status = 'open'",
    "wishes": "SELECT count() FROM journeys.interest",
    "states of who has no links": f"{STATES_SQL} = 1",
}
LINKED = {
    "provisional customers": "SELECT count() FROM journeys.journeys FINAL WHERE NOT startsWith(customer_id, 'C-')",
    "links": "SELECT count() FROM journeys.identity_owners FINAL",
    "states of who has links": f"{STATES_SQL} = 2",
}
"""What a state must hold, so that much can go wrong with it."""


def make_release(directory: Path, code: Path, end: str, seed: int, customers: int, has_links: bool) -> None:
    """Write the files of a release whose worker came to this `end`: stopped or killed."""
    life = live_with_links_and_without(seed, customers, has_links)
    delivered = len(life) // 2
    life[delivered:delivered] = refused()
    delivered += len(refused())
    with TemporaryDirectory() as scratch, Platform(Path(scratch), dict(OF_ANY_AGE)) as platform:
        empty_server(platform)
        platform.query("SYSTEM START MERGES")
        migrate(platform.clickhouse_options, code / "sinks/migrations")
        _END[end](platform, code, life[:delivered])
        assert_in_the_air(platform, has_links)
        release = take_release(platform, last_migration(code), life, delivered)
    save_release(release, directory, end=end, has_links=has_links, seed=seed, customers=customers)


def live_with_links_and_without(seed: int, customers: int, has_links: bool) -> list[Delivery]:
    """A shop's life, in order of time; a quarter of the customers, or all, have nothing but a customer id."""
    known = live(seed + 1_000, customers // 4, TOUCHPOINTS_EACH * customers // 4)
    linked = live(seed, customers, TOUCHPOINTS_EACH * customers) if has_links else []
    known = [_with_customer_id_alone(each) for each in known if b'"customer_id"' in (each.record.value or b"")]
    return sorted([*linked, *known], key=lambda each: each.stamped_ms)


def _with_customer_id_alone(delivery: Delivery) -> Delivery:
    body = json.loads(delivery.record.value or b"")
    customer = body["identifiers"]["customer_id"].replace("C-", "C-known-")
    body.update(event_id=f"known-{body['event_id']}", identifiers={"customer_id": customer})
    record = replace(delivery.record, key=f"customer_id:{customer}".encode(), value=json.dumps(body).encode())
    return delivery._replace(record=record)


def assert_in_the_air(platform: Platform, has_links: bool) -> None:
    """Something is open of everything that can be."""
    asked = {**IN_THE_AIR, **(LINKED if has_links else {})}
    counts = {what: platform.query(sql)[0][0] for what, sql in asked.items()}
    assert all(counts.values()), f"{counts}: try another seed"


def stop_worker(platform: Platform, code: Path, part: list[Delivery]) -> None:
    """A worker that has done everything and is asked to go."""
    with code_of(code):
        worker = platform.start_worker()
    deliver(platform, part)
    platform.wait_idle(120)
    assert worker.terminate(30) == 0


def kill_worker(platform: Platform, code: Path, part: list[Delivery]) -> None:
    """A worker that dies between two inserts of a flush, with records before it that it has not read."""
    with code_of(code):
        worker = platform.start_worker()
    before = 2 * len(part) // 3
    deliver(platform, part[:before])
    platform.wait_idle(120)
    with ThreadPoolExecutor(1) as thread:
        fed = thread.submit(deliver, platform, part[before:], KILLED_AT_PER_SECOND)
        while not fed.done() and worker.exit_code is None:
            if _is_unfinished(platform):
                worker.kill()
        fed.result()
    assert worker.exit_code is not None and _is_unfinished(platform), "no flush was met in its midst: try again"


def _is_unfinished(platform: Platform) -> bool:
    return bool(platform.query(UNFINISHED_SQL)[0][0])


@contextlib.contextmanager
def code_of(checkout: Path) -> Iterator[None]:
    """Python processes that are started meanwhile run a checkout's code, wherever they are started."""
    told = {"PYTHONPATH": str(checkout), "PYTHONSAFEPATH": "1"}
    before = {name: os.environ.get(name) for name in told}
    os.environ.update(told)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


_END = {"stopped": stop_worker, "killed": kill_worker}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--code", type=Path, default=ROOT, help="a checkout of the release (default: this one)")
    parser.add_argument("--end", choices=sorted(_END), default="stopped")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--customers", type=int, default=80)
    parser.add_argument("--without-links", action="store_true", help="for releases that know no identity")
    given = parser.parse_args()
    make_release(given.directory, given.code.resolve(), given.end, given.seed, given.customers, not given.without_links)


if __name__ == "__main__":
    main()
