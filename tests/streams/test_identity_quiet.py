"""Identity after a long silence: what the workers have forgotten of identifiers is looked up, whoever died."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.links import Link, LinkRule
from schemas.topics import IDENTITY_LINKS, TOUCHPOINTS, TOUCHPOINTS_REKEYED
from streams.identity.choice import Limits
from tests.streams.examples import search
from tests.streams.identity_oracle import journeys, owners
from tests.streams.identity_world import Act, Told, World, members, whose
from tests.streams.oracle import HOUR_MS
from tests.streams.scenes import at, policy

X, Y, D = {"anonymous_id": "x"}, {"anonymous_id": "y"}, {"device_id": "d"}
A, B = {"customer_id": "A"}, {"customer_id": "B"}
QUIET_HOURS = 2_000
WINDOW_MS = 20 * HOUR_MS
MOST = {"device_id": 2, "anonymous_id": 2}
LAST_TABLE = 9


def fall_silent(world: World) -> None:
    """Let so much time pass that the workers keep nothing of anybody."""
    world.settle()
    world.pass_time(at(QUIET_HOURS))
    world.settle()
    assert not any(worker.open_customers for worker in world.workers.values())


def undo(identifier: str, owner: str) -> Link:
    return Link(identifier, owner, "unlinked", at(QUIET_HOURS), "console", "act", "dana", "not hers")


@pytest.mark.parametrize(
    ("identifier", "owner", "told"),
    [
        ("anonymous_id:x", "device_id:d", [Told({**X, **D}, at(1), "app"), Told({**D, **B}, at(2), "login")]),
        (
            "anonymous_id:x",
            "customer_id:A",
            [
                Told({**X, **A}, at(1), "login"),
                Told(B, at(2), "merge", "customers_merged", {"merged_id": "A", "reason": "same person"}),
            ],
        ),
    ],
)
def test_an_undone_link_is_followed_through_a_middle_of_which_nothing_is_kept(
    identifier: str, owner: str, told: list[Told]
) -> None:
    world = World(policy(2))
    world.tell([Told(X, at(0), "visit"), *told])
    fall_silent(world)
    assert whose(world)["visit"] == "B"
    world.act(undo(identifier, owner))
    world.settle()
    assert whose(world)["visit"] == identifier


def test_a_customer_stitched_anew_after_a_silence_passes_on_what_is_somebody_elses() -> None:
    world = World(policy(2))
    world.tell([Told(X, at(0), "visit"), Told({**X, **A}, at(1), "login")])
    fall_silent(world)
    world.tell([Told(X, at(3), "late")])
    world.settle()
    assert whose(world) == {"visit": "A", "login": "A", "late": "A"}


@pytest.mark.parametrize("tables_written", range(LAST_TABLE + 1))
@pytest.mark.parametrize("killed_in", range(4))
@pytest.mark.parametrize("has_second_hop", [True, False])
def test_a_worker_that_dies_over_a_decision_leaves_nothing_with_the_former_owner(
    killed_in: int, tables_written: int, has_second_hop: bool
) -> None:
    world = World(policy(2), 1)
    if has_second_hop:
        world.tell([Told(Y, at(0), "visit"), Told({**Y, **D}, at(1), "app"), Told({**D, **A}, at(2), "login")])
    else:
        world.tell([Told(Y, at(0), "visit"), Told({**Y, **A}, at(1), "login")])
    fall_silent(world)
    assert whose(world)["visit"] == "A"
    if has_second_hop:
        world.tell([Told({**Y, **B}, at(QUIET_HOURS + 1), "other")])
    else:
        world.act(undo("anonymous_id:y", "customer_id:A"))
    for number in range(6):
        for topic in (TOUCHPOINTS, TOUCHPOINTS_REKEYED, IDENTITY_LINKS):
            world.process(0, topic, 50)
        world.flush(0, tables_written if number == killed_in else 100)
    world.settle()
    assert whose(world)["visit"] == ("B" if has_second_hop else "anonymous_id:y")


@pytest.mark.parametrize("lateness_hours", [2, 1_000])
def test_what_was_about_to_move_keeps_its_journey_when_it_stays_after_all(lateness_hours: int) -> None:
    world = World(policy(lateness_hours), 1)
    tablet = {"device_id": "tablet"}
    world.tell([Told(tablet, at(0), "alone"), Told({"customer_id": "C1", **tablet}, at(49), "e1")])

    def read() -> None:
        for topic in (TOUCHPOINTS, IDENTITY_LINKS, TOUCHPOINTS_REKEYED):
            world.process(0, topic, 100)

    world.process(0, TOUCHPOINTS, 1)
    read()
    world.flush(0)
    world.tell([Told({"customer_id": f"C{n}", **tablet}, at(49, n), f"e{n}") for n in range(2, 8)])
    read()
    world.flush(0)
    world.settle()
    assert whose(world)["alone"] == "device_id:tablet"
    assert ("device_id:tablet", ("alone",)) in [(customer, names) for customer, _, names in members(world)]


NAMES: Mapping[str, str] = {"customer_id": "AB", "device_id": "d", "anonymous_id": "xy"}


@st.composite
def phases(draw: st.DrawFn) -> list[list[Told]]:
    """Touchpoints of a few identifiers, with silences between."""
    phases, number = [], 0
    for phase in range(draw(st.integers(2, 3))):
        told, hour = [], phase * QUIET_HOURS
        for _ in range(draw(st.integers(1, 5))):
            kinds = draw(st.sets(st.sampled_from(sorted(NAMES)), min_size=1, max_size=2))
            identifiers = {kind: draw(st.sampled_from(NAMES[kind])) for kind in sorted(kinds)}
            hour += draw(st.integers(0, 12))
            told.append(Told(identifiers, at(hour, number), f"e{number}"))
            number += 1
        phases.append(told)
    return phases


@pytest.mark.search
@pytest.mark.no_cover
@pytest.mark.timeout(300)
@given(
    phases=phases(),
    acts=st.lists(
        st.tuples(
            st.sampled_from(("anonymous_id:x", "anonymous_id:y", "device_id:d")),
            st.sampled_from(("customer_id:A", "customer_id:B")),
            st.sampled_from(("unlinked", "relinked")),
        ),
        max_size=2,
    ),
    seed=st.integers(0, 10**6),
)
@search(120)
def test_who_has_what_does_not_depend_on_what_was_forgotten_between(
    phases: list[list[Told]], acts: list[tuple[str, str, LinkRule]], seed: int
) -> None:
    rng = random.Random(seed)
    world = World(policy(2), rng.randint(1, 2), Limits(WINDOW_MS, MOST), rng.choice((0, 50)), rng.choice((None, rng)))
    done: list[Act] = [(each, owner, rule, at(n)) for n, (each, owner, rule) in enumerate(acts)]
    for number, told in enumerate(phases):
        steps: list[Told | Act] = [*told, *(done if number + 1 == len(phases) else ())]
        for step in steps:
            world.perform(step)
            world.live(rng, rng.randrange(6))
        world.settle()
        if number + 1 < len(phases):
            world.pass_time(at((number + 1) * QUIET_HOURS - 1))
    everything = [each for told in phases for each in told]
    final = owners(everything, WINDOW_MS, MOST, done)
    assert whose(world) == {event: key.removeprefix("customer_id:") for event, key in final.items()}
    assert members(world) == journeys(everything, final, 10**15)
