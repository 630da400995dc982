"""The limit and the plain computation agree, so the limit does the job it is the limit of."""

import json
from typing import Any

from benchmarks import limit, workload
from benchmarks.sessions import Observed, Session
from schemas.moments import format_epoch_ms

START_MS = workload.START_MS
MINUTE_MS = 60_000


def record(event_id: str, minutes: float, customer: str = "C-1") -> tuple[bytes, bytes]:
    touchpoint = {
        "event_id": event_id,
        "source": "web",
        "type": "page_viewed",
        "occurred_at": format_epoch_ms(START_MS + int(minutes * MINUTE_MS)),
        "identifiers": {"customer_id": customer},
    }
    return customer.encode(), json.dumps(touchpoint).encode()


def observe(records: list[tuple[bytes, bytes]]) -> Observed:
    observed = Observed(workload.GAP_MS)
    assert list(observed.watch(records)) == records
    return observed


def session(first_minutes: float, last_minutes: float, count: int, customer: str = "C-1") -> Session:
    return customer, START_MS + int(first_minutes * MINUTE_MS), START_MS + int(last_minutes * MINUTE_MS), count


def test_a_gap_of_exactly_thirty_minutes_parts_nothing_and_a_longer_one_does() -> None:
    observed = observe([record("a", 0), record("b", 30), record("c", 60.1), record("d", 0, "C-2")])
    assert observed.sessions() == [session(0, 30, 2), session(60.1, 60.1, 1), session(0, 0, 1, "C-2")]


def test_repeats_count_once_and_late_ones_join_what_they_lie_between() -> None:
    observed = observe([record("a", 0), record("a", 0), record("c", 40), record("b", 20)])
    assert observed.sessions() == [session(0, 40, 3)]
    assert (observed.records, observed.unique) == (4, 3)


def sessions_of_limit(records: list[tuple[bytes, bytes]]) -> list[Session]:
    """Every session that the limit ever held, as it last was."""
    customers: dict[str, limit.Sessions] = {}
    latest: dict[tuple[str, str], limit.Session] = {}
    for _, value in records:
        touchpoint: Any = limit._decode(value)
        name = touchpoint.identifiers["customer_id"]
        changed: dict[str, limit.Session] = {}
        customers.setdefault(name, limit.Sessions()).feed(touchpoint, changed)
        latest.update({(name, identity): found for identity, found in changed.items()})
    return sorted((name, each.first_ms, each.last_ms, each.count) for (name, _), each in latest.items() if each.count)


def test_the_limit_finds_the_sessions_of_a_workload() -> None:
    records = list(workload.generate(4_000, 400))
    wanted = observe(records).sessions()
    found = sessions_of_limit(records)
    # It forgets all but a customer's last 16 ids and three sessions; a repeat or a late touchpoint may slip past.
    assert len(set(found) & set(wanted)) >= 0.99 * len(wanted)
    assert abs(len(found) - len(wanted)) <= 0.005 * len(wanted)
