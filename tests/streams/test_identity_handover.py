"""Touchpoints handed over within a flush: whoever dies over it, they end with whom the links name in the end."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from schemas.links import Link
from schemas.topics import IDENTITY_LINKS, TOUCHPOINTS, TOUCHPOINTS_REKEYED
from sinks import tables
from tests.streams.identity_world import TOPICS, Told, World, members, whose
from tests.streams.scenes import at, policy

X = {"anonymous_id": "u"}
A, B, E = {"customer_id": "A"}, {"customer_id": "B"}, {"device_id": "e"}
ALL_TABLES = 100
KILLED_AFTER = range(9)


class Together(random.Random):
    """Draws what makes one worker have all partitions, and always behind."""

    def randrange(self, *_: object) -> int:
        return 0


class Prompt(random.Random):
    """Draws what makes one worker have all partitions that is never behind."""

    def randrange(self, *_: object) -> int:
        return 1


def one_worker(lateness_hours: int = 2) -> World:
    return World(policy(lateness_hours), 3, rng=Together())


def read_all(world: World) -> None:
    for topic in (TOUCHPOINTS, IDENTITY_LINKS, TOUCHPOINTS_REKEYED):
        for number in world.workers:
            world.process(number, topic, 100)


def who_alone(world: World) -> dict[str, str]:
    """The customer of each touchpoint. Fails where one has two."""
    rows, found = world.rows(tables.TOUCHPOINTS), whose(world)
    assert len(rows) == len(found), sorted((row["event_id"], row["customer_id"]) for row in rows)
    return found


def nothing(world: World) -> str:
    return "A"


def better_link(world: World) -> str:
    world.tell([Told({**X, **B}, at(0), "other")])
    return "B"


def undone_link(world: World) -> str:
    world.act(Link("anonymous_id:u", "customer_id:A", "unlinked", at(9), "console", "act", "dana"))
    return "anonymous_id:u"


def crowd(world: World) -> str:
    world.tell([Told({**X, "customer_id": f"C{n}"}, at(1, n), f"c{n}") for n in range(5)])
    return "anonymous_id:u"


def test_what_waits_is_never_written_under_its_weaker_identifier() -> None:
    world = one_worker()
    world.tell([Told(X, at(0), "visit"), Told({**X, **E}, at(1), "app"), Told({**E, **A}, at(2), "login")])
    read_all(world)
    world.flush(0)
    rows = [row for row in world.writer.rows(tables.TOUCHPOINTS) if row["event_id"] == "visit"]
    assert {row["customer_id"] for row in rows if not row["_is_deleted"]} == {"A"}
    assert [row["hops_json"].count("_id:") for row in rows if not row["_is_deleted"]] == [2]
    assert not any(world.topics[TOUCHPOINTS_REKEYED, number] for number in world.workers)
    world.settle()
    assert who_alone(world) == {"visit": "A", "app": "A", "login": "A"}
    assert [names for _, _, names in members(world)] == [("app", "login", "visit")]


@pytest.mark.parametrize("happens", [nothing, better_link, undone_link, crowd])
@pytest.mark.parametrize("is_known_before", [False, True])
@pytest.mark.parametrize("next_one", [Together, Prompt])
@pytest.mark.parametrize("tables_written", KILLED_AFTER)
def test_a_worker_that_dies_over_what_it_handed_over_leaves_nothing_with_the_wrong_customer(
    tables_written: int, next_one: type[random.Random], is_known_before: bool, happens: Callable[[World], str]
) -> None:
    world = one_worker()
    if is_known_before:
        world.tell([Told(X, at(0), "before")])
        world.settle()
    world.tell([Told(X, at(0, 1), "visit"), Told({**X, **A}, at(1), "login")])
    read_all(world)
    world.flush(0, tables_written)
    world.rng = next_one()
    expected = happens(world)
    read_all(world)
    world.settle()
    assert who_alone(world)["visit"] == expected
    assert who_alone(world)["login"] == "A"
    assert len(members(world)) == len({customer for customer, _, _ in members(world)})


@pytest.mark.parametrize("tables_written", [*KILLED_AFTER, ALL_TABLES])
def test_what_would_leave_the_worker_stays_until_it_is_written_by_what_it_came(tables_written: int) -> None:
    """The device's owner has another worker: the visit gets as far as the device within the flush."""
    world = one_worker()
    world.tell([Told({**E, **A}, at(0), "login")])
    world.settle()
    far = world.owner_of("customer_id:A")
    near = [number for number in world.workers if number != far]
    world.part(far)
    world.tell([Told(X, at(1), "visit"), Told({**X, **E}, at(2), "app")])
    for topic in TOPICS:
        for number in near:
            world.process(number, topic, 100)
    world.flush(near[0], tables_written)
    if tables_written < ALL_TABLES:
        # Whoever is next hears of a better one before anything is decided.
        world.tell([Told({**X, **B}, at(0), "other")])
        world.process(world.owner_of("customer_id:B"), TOUCHPOINTS, 100)
    world.settle()
    assert who_alone(world)["visit"] == ("A" if tables_written == ALL_TABLES else "B")
    assert who_alone(world)["app"] == "A"
