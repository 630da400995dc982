"""Where somebody was erased: others are served as before, and nothing is handed to whom was erased."""

from __future__ import annotations

from collections.abc import Callable

from schemas.links import encode_forgotten, forgotten_hash, forgotten_record_key
from schemas.topics import IDENTITY_LINKS
from sinks import tables
from sinks.forgotten_table import FORGOTTEN_IDENTIFIERS
from tests.streams.identity_world import Sent, Told, World, whose
from tests.streams.scenes import at, policy
from tests.streams.test_identity_handover import Together, read_all

X, A, Z = {"anonymous_id": "u"}, {"customer_id": "A"}, {"customer_id": "Z"}
STRANGER = {"anonymous_id": "v"}


def one_partition() -> World:
    return World(policy(2), 1, rng=Together())


def erase(world: World, identifier: str) -> None:
    """What `journeys forget` tells the workers."""
    world.send(IDENTITY_LINKS, identifier, Sent(encode_forgotten(identifier), forgotten_record_key(identifier)))
    read_all(world)
    world.flush(0)


def written(world: World) -> list[list[str]]:
    """Under whom touchpoints and states were ever written, Z left out."""
    names = {tables.TOUCHPOINTS: "customer_id", tables.CUSTOMER_STATE: "customer_key"}
    found = [[str(row[name]) for row in world.writer.rows(table)] for table, name in names.items()]
    return [sorted(each.removeprefix("customer_id:") for each in some if not each.endswith("Z")) for some in found]


def nobody_erased(world: World) -> None:
    read_all(world)
    world.flush(0)


def somebody_erased(world: World) -> None:
    erase(world, "customer_id:Z")


def test_an_erasure_makes_nothing_dearer_for_others() -> None:
    def after_a_backlog(prepare: Callable[[World], None]) -> list[list[str]]:
        world = one_partition()
        world.tell([Told(Z, at(0), "z")])
        prepare(world)
        world.tell([Told(X, at(0, 1), "visit"), Told({**X, **A}, at(0, 2), "login"), Told(STRANGER, at(0, 3), "other")])
        read_all(world)
        for _ in range(5):
            world.flush(0)
        return written(world)

    assert after_a_backlog(somebody_erased) == after_a_backlog(nobody_erased)


def test_what_waits_under_an_identifier_of_an_erased_customer_is_handed_to_nobody() -> None:
    """The identifier is another partition's, which learns of the erasure when it is taken over."""
    world = World(policy(2), 3, rng=Together())
    assert world.owner_of("customer_id:A") != world.owner_of("anonymous_id:u")
    world.tell([Told({**X, **A}, at(0), "login")])
    world.settle()
    erase(world, "customer_id:A")
    world.writer.insert(FORGOTTEN_IDENTIFIERS, [[forgotten_hash("customer_id:A")], ["receipt"], [1]])
    world.start(0)
    world.tell([Told(X, at(0, 1), "visit")])
    world.settle()
    assert whose(world)["visit"] == "anonymous_id:u"
