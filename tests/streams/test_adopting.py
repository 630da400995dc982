"""Other rules come into force while customers are open: everything that they change is told, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest

from schemas.topics import TOUCHPOINTS
from streams.friction.plan import Plan
from streams.partition import Partition
from streams.policy import Policy
from streams.records import DecodedChunk
from streams.rows import Rows
from streams.rules.loading import load_rules
from streams.rules.model import Rule
from streams.states import EpisodeState
from streams.stitching import StitchingRules
from tests.streams.lives import to_arrival
from tests.streams.oracle import HOUR_MS
from tests.streams.scenes import at, touch

DAY_MS = 24 * HOUR_MS
STITCHING = StitchingRules(14 * DAY_MS, 90 * DAY_MS, 7 * DAY_MS)
RULES = {rule.id: rule for rule in load_rules()}
PROMOTER = RULES["promoter"]
LONG_WAIT = RULES["long_wait"]
QUEUE = {"queue": "till"}


def plan(*rules: Rule) -> Plan:
    return Plan(rules)


def patient() -> Plan:
    """The same rule with a limit of an hour."""
    assert LONG_WAIT.wait is not None
    cases = tuple(case.model_copy(update={"longer_than": timedelta(hours=1)}) for case in LONG_WAIT.wait.cases)
    wait = LONG_WAIT.wait.model_copy(update={"cases": cases})
    return plan(LONG_WAIT.model_copy(update={"wait": wait, "version": LONG_WAIT.version + 1}))


def partition(hot_customers: int) -> Partition:
    lived = Partition(0, 1, Policy(STITCHING, plan(LONG_WAIT)), 1, hot_customers=hot_customers)
    for number in range(3):
        joined = touch("queue_joined", 0, f"e{number}", store_id="S", details=QUEUE)
        arrival = to_arrival(number, f"customer_id:C{number}", joined, lived.policy.plan.keeps)
        lived.process(DecodedChunk(TOUCHPOINTS, 0, number + 1, [arrival]))
    return lived


def told(found: Sequence[tuple[str, EpisodeState]]) -> list[tuple[str, str, str]]:
    return sorted((name, state.status, state.withdrawn_because) for name, state in found)


@pytest.mark.parametrize("hot_customers", [0, 100])
def test_what_other_rules_change_is_told_customer_by_customer(hot_customers: int) -> None:
    lived = partition(hot_customers)
    assert len(lived.advance(at(0.5)).changes) == 3
    lived.gather(Rows(), RULES, 0)
    lived.adopt(Policy(STITCHING, patient()))
    first, has_more = lived.look_on(2), lived.is_adopting
    rest, has_still_more = lived.look_on(2), lived.is_adopting
    assert (len(first.changes), has_more, has_still_more) == (2, True, False)
    assert told([*first.changes, *rest.changes]) == [(f"C{n}", "withdrawn", "rule_changed") for n in range(3)]
    again = lived.advance(at(1, 1)).changes
    assert told(again) == [(f"C{n}", "open", "") for n in range(3)]


def test_the_same_rules_change_nothing() -> None:
    lived = partition(100)
    lived.advance(at(0.5))
    lived.gather(Rows(), RULES, 0)
    lived.adopt(Policy(STITCHING, plan(LONG_WAIT)))
    assert lived.look_on(10).changes == []


def test_a_rule_that_is_no_longer_there_takes_its_episodes_along() -> None:
    lived = partition(100)
    lived.advance(at(0.5))
    lived.gather(Rows(), RULES, 0)
    lived.adopt(Policy(STITCHING, plan(PROMOTER)))
    assert told(lived.look_on(10).changes) == [(f"C{n}", "withdrawn", "rule_changed") for n in range(3)]
    rows = Rows()
    lived.gather(rows, lived.policy.plan.rules, 0)
    assert len(rows.alerts) == 3, "what is withdrawn must be written, whoever is asked for its words"
