"""Workers catch up, one after another, with long-lived anonymous ids of which much waits: nothing is late or double."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.topics import TOUCHPOINTS
from sinks import tables
from tests.streams.examples import search
from tests.streams.identity_oracle import journeys, owners
from tests.streams.identity_world import Told, World, whose
from tests.streams.scenes import at, policy
from tests.streams.test_identity_handover import Together, read_all
from tests.streams.test_identity_property import LIMITS, MOST, WINDOW_MS

LATENESS_HOURS = 2
X, A, B = {"anonymous_id": "x"}, {"customer_id": "A"}, {"customer_id": "B"}
LONG_AFTER_MS = at(1000)
Who = tuple[tuple[dict[str, str], ...], ...]
WHO: Who = ((X, A, B), (X, A, B, {"anonymous_id": "y"}, {**X, **A}))
"""Without links and with."""


@st.composite
def lives(draw: st.DrawFn) -> list[Told]:
    """Touchpoints in order of time, minutes to days apart."""
    told, moment, who = [], 0.0, draw(st.sampled_from(WHO))
    for number in range(draw(st.integers(3, 12))):
        moment += draw(st.sampled_from((0, 0.5, 1, 1.5, 2, 5, 9, 20)))
        told.append(Told(draw(st.sampled_from(who)), at(moment, number), f"e{number}"))
    return told


def happen(world: World, rng: random.Random) -> None:
    """A chunk, a flush, or a death before, inside or at the end of a flush."""
    match rng.randrange(10):
        case 0:
            world.start(0)
        case 1:
            world.flush(0, is_recorded=False)
        case 2:
            world.flush(0, rng.randrange(5))
        case 3 | 4 | 5:
            world.flush(0)
        case _:
            world.process(0, TOUCHPOINTS, 5)


def assert_right(world: World, told: list[Told]) -> None:
    """All is as in an undisturbed run."""
    final = owners(told, WINDOW_MS, MOST)
    assert whose(world) == {event: key.removeprefix("customer_id:") for event, key in final.items()}
    assert not [row["event_id"] for row in world.rows(tables.TOUCHPOINTS) if row["late"]]
    found = {(row["customer_id"], row["journey_id"], row["touchpoints"]) for row in world.rows(tables.JOURNEYS)}
    expected = {(who, name, len(members)) for who, name, members in journeys(told, final, LONG_AFTER_MS)}
    assert found == expected


@pytest.mark.search
@pytest.mark.no_cover
@given(told=lives(), seed=st.integers(0, 10**6))
@search(150)
def test_what_waits_over_deaths_is_judged_as_when_it_came(told: list[Told], seed: int) -> None:
    rng = random.Random(seed)
    world = World(policy(LATENESS_HOURS), 1, LIMITS, rng=Together())
    for each in told:
        world.tell([each])
        for _ in range(rng.choice((0, 0, 0, 1, 2))):
            happen(world, rng)
    world.settle()
    world.pass_time(LONG_AFTER_MS)
    assert_right(world, told)


@pytest.mark.parametrize("dies", [False, True])
def test_what_is_read_again_by_a_worker_that_knows_a_later_time_is_not_late(dies: bool) -> None:
    told = [Told(X, at(0), "first"), Told(X, at(11), "last")]
    world = World(policy(LATENESS_HOURS), 1, LIMITS, rng=Together())
    world.tell(told)
    read_all(world)
    world.flush(0)
    if dies:
        world.start(0)
    world.settle()
    world.pass_time(LONG_AFTER_MS)
    assert_right(world, told)


@pytest.mark.parametrize("dies", [False, True])
def test_who_may_be_read_again_is_not_forgotten(dies: bool) -> None:
    before, told = [Told(A, at(0), "a0")], [Told(X, at(1), "x0"), Told(A, at(1, 5), "a1"), Told(X, at(9.5), "x1")]
    world = World(policy(LATENESS_HOURS), 1, LIMITS, rng=Together())
    world.tell(before)
    world.settle()
    world.tell(told)
    read_all(world)
    world.flush(0)
    after = [Told(B, at(20), "b"), Told(X, at(20, 1), "x2")]
    world.tell(after)
    read_all(world)
    if dies:
        world.flush(0, is_recorded=False)
    world.settle()
    world.pass_time(LONG_AFTER_MS)
    assert_right(world, [*before, *told, *after])
