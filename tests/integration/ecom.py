"""The web shop's events through the platform, whatever happens to its workers on the way."""

from __future__ import annotations

import random
from collections.abc import Sequence

from tests.integration.expectations import Expected, assert_exact, expect
from tests.integration.harness import Feed, Platform, WorkerProcess, wait_until

SESSIONS = 3_605


def shuffle(records: Sequence[Feed], seed: int) -> list[Feed]:
    shuffled = list(records)
    random.Random(seed).shuffle(shuffled)
    return shuffled


def repeat_some(records: Sequence[Feed], seed: int, share: float = 0.1) -> list[Feed]:
    """The records with a share of them twice, anywhere."""
    chosen = random.Random(seed)
    mixed = list(records)
    for record in chosen.sample(list(records), int(len(records) * share)):
        mixed.insert(chosen.randrange(len(mixed) + 1), record)
    return mixed


def wait_for_progress(platform: Platform, done: int | None = None) -> None:
    """Wait until more is committed than `done`, or than now."""
    known = sum(platform.committed().values()) if done is None else done
    wait_until(lambda: sum(platform.committed().values()) > known, "some progress")


def kill_in_turn(platform: Platform, worker: WorkerProcess, records: Sequence[Feed], kills: int) -> list[float]:
    """Feed the records in parts and kill the worker in the midst of each but the last; returns what was done by then.

    The shares are of committed records, strictly between none and all, and each worker got further than the last.
    """
    shares: list[float] = []
    size = len(records) // (2 * kills + 1)
    done = 0
    for begin in range(0, 2 * kills * size, 2 * size):
        platform.send(records[begin : begin + size])
        wait_for_progress(platform, done)
        # It has only just heard of these when it dies.
        platform.send(records[begin + size : begin + 2 * size])
        worker = platform.restart(worker)
        done = sum(platform.committed().values())
        shares.append(done / len(records))
    platform.send(records[2 * kills * size :])
    assert all(0 < share < 1 for share in shares), shares
    assert sorted(set(shares)) == shares, shares
    return shares


def assert_sessions(platform: Platform, records: Sequence[Feed]) -> Expected:
    """Journeys are exactly the true sessions, member by member, and exactly what the gap rule gives, ids included."""
    expected = expect(records)
    assert len(expected.journeys) == SESSIONS
    assert_exact(platform, expected)
    pairs = platform.query(
        "SELECT uniqExact(journey_id), uniqExact(session), uniqExact(journey_id, session) FROM "
        "(SELECT journey_id, JSONExtractString(properties, 'session_id') AS session FROM analytics.touchpoints)"
    )
    assert pairs == [(SESSIONS, SESSIONS, SESSIONS)]
    return expected
