"""Who has what in the end is a function of what was told: not of order, repetition, chunks, deaths or partitions."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.links import LinkRule
from schemas.moments import format_epoch_ms
from schemas.topics import TOUCHPOINTS
from sinks import tables
from streams.decoding import Decoder
from streams.identity.choice import Limits
from streams.touch import Touch
from tests.streams.examples import search
from tests.streams.identity_oracle import Members, journeys, owners, shown
from tests.streams.identity_world import DOOR, NOW_MS, Act, Sent, Told, World, members, whose
from tests.streams.lives import said
from tests.streams.oracle import HOUR_MS
from tests.streams.scenes import at, policy
from tests.streams.scenes import expected as judged

pytestmark = [pytest.mark.timeout(300), pytest.mark.no_cover, pytest.mark.search]
COVERING_HOURS = 1000
WINDOW_MS = 20 * HOUR_MS
MOST = {"loyalty_id": 2, "phone": 2, "email": 1, "device_id": 2, "anonymous_id": 2}
LIMITS = Limits(WINDOW_MS, MOST)
NAMES = {"customer_id": "ABC", "email": "ef", "device_id": "d", "anonymous_id": "xyz"}


@st.composite
def worlds(draw: st.DrawFn, merges: bool = True) -> list[Told]:
    """A few touchpoints of a few identifiers, now and then a merge record."""
    told = []
    for number in range(draw(st.integers(1, 12))):
        kinds = draw(st.sets(st.sampled_from(sorted(NAMES)), min_size=1, max_size=3))
        identifiers = {kind: _name(kind, draw(st.sampled_from(NAMES[kind]))) for kind in kinds}
        occurred_ms = at(draw(st.integers(0, 60)))
        if merges and draw(st.integers(0, 5)) == 0:
            stays, absorbed = draw(st.permutations(NAMES["customer_id"]))[:2]
            merged = {"merged_id": absorbed, "reason": "same person"}
            told.append(Told({"customer_id": stays}, occurred_ms, f"e{number}", "customers_merged", merged))
        else:
            told.append(Told(identifiers, occurred_ms, f"e{number}"))
    return told


def _name(kind: str, value: str) -> str:
    return value if kind != "email" else f"hmac-sha256:k1:{ord(value):064x}"


def expected(told: list[Told], now_ms: int, acts: Sequence[Act] = ()) -> Members:
    """Customer, journey id and members, from the oracles."""
    return journeys(told, owners(told, WINDOW_MS, MOST, acts), now_ms)


def run(told: list[Told], seed: int, steps: int, partitions: int, grown: int | None = None) -> World:
    rng = random.Random(seed)
    world = World(policy(1000), partitions, LIMITS, rng.choice((0, 50)), rng.choice((None, rng)))
    arrivals = told + [each for each in told if rng.randrange(4) == 0]
    rng.shuffle(arrivals)
    for each in arrivals:
        world.tell([each])
        world.live(rng, rng.randrange(steps))
    if grown:
        world.settle()
        world.grow(grown)
        late = [each for each in told if rng.randrange(3) == 0]
        world.tell(late)
    world.settle()
    return world


@given(told=worlds(), seed=st.integers(0, 10**6), partitions=st.integers(1, 3))
@search(150)
def test_every_touchpoint_ends_with_the_customer_that_the_oracle_names(
    told: list[Told], seed: int, partitions: int
) -> None:
    world = run(told, seed, 6, partitions)
    final = owners(told, WINDOW_MS, MOST)
    have = whose(world)
    assert len(world.rows(tables.TOUCHPOINTS)) == len(told)
    assert have == {event: _shown(key) for event, key in final.items()}
    assert members(world) == expected(told, 10**15)


def _shown(key: str) -> str:
    return key.removeprefix("customer_id:")


PAIRS = [
    *(
        (weaker, f"customer_id:{name}")
        for weaker in ("anonymous_id:x", "anonymous_id:y", "device_id:d")
        for name in "AB"
    ),
    ("anonymous_id:x", "device_id:d"),
]
"""What a person may undo or order."""


@given(
    told=worlds(),
    acts=st.lists(st.tuples(st.sampled_from(PAIRS), st.sampled_from(("unlinked", "relinked"))), max_size=4),
    seed=st.integers(0, 10**6),
)
@search(150)
def test_what_a_person_undid_or_ordered_holds_whatever_is_seen_later(
    told: list[Told], acts: list[tuple[tuple[str, str], LinkRule]], seed: int
) -> None:
    rng = random.Random(seed)
    # Without circles of merges: which of their members gets a touchpoint to see decides there.
    told = [each for each in told if each.properties.get("merged_id", "Z") > each.identifiers.get("customer_id", "")]
    is_forgetful = rng.randrange(2) == 0
    world = World(policy(2 if is_forgetful else COVERING_HOURS), 2, LIMITS, rng=rng.choice((None, rng)))
    done: list[Act] = [(*pair, rule, at(n)) for n, (pair, rule) in enumerate(acts)]
    steps: list[Told | Act] = [*told, *done]
    rng.shuffle(steps)
    if is_forgetful:
        # In order of time, so that nothing is late by itself.
        steps.sort(key=lambda step: step.occurred_ms if isinstance(step, Told) else step[3])
    for step in steps:
        world.perform(step)
        world.live(rng, rng.randrange(5))
    world.settle()
    final = owners(told, WINDOW_MS, MOST, done)
    have = whose(world)
    assert have == {event: _shown(key) for event, key in final.items()}
    assert members(world) == expected(told, 10**15, done)


@given(told=worlds(), seed=st.integers(0, 10**6))
@search(60)
def test_more_partitions_on_the_way_change_nothing(told: list[Told], seed: int) -> None:
    world = run(told, seed, 4, 1, grown=3)
    assert members(world) == expected(told, 10**15)


MATTERS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("visit_started", {}),
    ("queue_joined", {"queue": "tills"}),
    ("service_started", {"queue": "tills"}),
    ("contact_started", {"contact_id": "K-1", "topic": "bill"}),
    ("contact_answered", {"contact_id": "K-1", "by": "bot"}),
    ("contact_ended", {"contact_id": "K-1", "resolved": False}),
    ("callback_promised", {"contact_id": "K-1", "due_at": format_epoch_ms(at(50))}),
    ("callback_made", {"contact_id": "K-1"}),
)


@st.composite
def hidden(draw: st.DrawFn) -> list[Told]:
    """Sessions of two customers over days, each under an identifier of its own, with a login somewhere in it."""
    told, moment = [], 0
    for number in range(draw(st.integers(1, 8))):
        moment += draw(st.sampled_from((1, 3, 9, 30)))
        session, customer = {"anonymous_id": f"s{number}"}, draw(st.sampled_from("AB"))
        count = draw(st.integers(2, 4))
        login = draw(st.integers(1, count))
        for place in range(count):
            moment += draw(st.integers(0, 1))
            kind, said = draw(st.sampled_from(MATTERS))
            told.append(Told(session, at(moment, place), f"e{number}-{place}", kind, said, "S"))
            if place + 1 == login:
                both = {**session, "customer_id": customer}
                told.append(Told(both, at(moment, place), f"e{number}-{place}-login", "identified"))
    return told


DECODER = Decoder(DOOR, policy(2).plan.keeps)


def decoded(told: Told) -> Touch:
    """The touch of a touchpoint, as the rules look at it."""
    record = Sent(told.encoded(), timestamp=told.occurred_ms)
    return DECODER.decode(TOUCHPOINTS, 0, [record], NOW_MS).arrivals[0].touch


@pytest.mark.parametrize("lateness_hours", [2, 1000])
@given(told=hidden(), seed=st.integers(0, 10**6), partitions=st.integers(1, 3))
@search(60)
def test_sessions_that_are_long_closed_join_the_journeys_of_their_customer(
    lateness_hours: int, told: list[Told], seed: int, partitions: int
) -> None:
    rng = random.Random(seed)
    world = World(policy(lateness_hours), partitions, LIMITS, rng.choice((0, 50)), rng.choice((None, rng)))
    for each in told:
        world.tell([each])
        world.live(rng, rng.randrange(12))
    world.settle()
    now_ms = at(400)
    world.pass_time(now_ms)
    final = owners(told, WINDOW_MS, MOST)
    right = judged([(final[each.event_id], decoded(each)) for each in told], now_ms)
    assert members(world) == shown(right.journeys)
    assert not [row for row in world.rows(tables.TOUCHPOINTS) if row["late"]]
    if lateness_hours == COVERING_HOURS:
        # What is forgotten before a promise's time has passed stays as it was.
        assert said(world.writer) == (right.promises, right.episodes)
