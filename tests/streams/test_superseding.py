"""Of two versions of one touchpoint the one counts that was received first, whichever comes first."""

from __future__ import annotations

import msgspec
import pytest

from streams.customer import Customer
from streams.friction.plan import Plan
from streams.policy import Policy, Verdict
from streams.stitching import StitchingRules
from tests.streams.oracle import HOUR_MS
from tests.streams.scenes import at, touch

STITCHING = StitchingRules(HOUR_MS, HOUR_MS, HOUR_MS)


@pytest.mark.parametrize(
    ("moves", "known_moves", "hours", "verdict"),
    [
        (0, 0, 0.5, Verdict.REPLACED),
        (0, 0, 50, Verdict.DUPLICATE),
        (1, 1, 0.5, Verdict.REPLACED),
        # It is its link that was late: its row is written, and its customer stitched anew.
        (1, 1, 50, Verdict.LATE),
        (1, 2, 50, Verdict.LATE),
    ],
)
def test_what_was_received_first_counts(moves: int, known_moves: int, hours: float, verdict: Verdict) -> None:
    seen = touch("browsed", 0, "e1")
    first = msgspec.structs.replace(seen, received_ms=at(0), moves=moves)
    second = msgspec.structs.replace(seen, received_ms=at(0) + 5_000, moves=known_moves)
    customer = Customer("customer_id:A", Policy(STITCHING, Plan([])))
    assert customer.add(second, at(0)) is Verdict.ACCEPTED
    assert customer.add(first, at(hours)) is verdict
    assert verdict is Verdict.DUPLICATE or first.moves == max(moves, known_moves), "its row beats the other's"
