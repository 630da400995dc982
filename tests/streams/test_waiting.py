"""What waits for the next flush: a visit that goes on while its worker catches up, and what is committed meanwhile."""

from __future__ import annotations

import pytest
from faust.types import TP

from schemas.topics import TOUCHPOINTS
from sinks import tables
from sinks.state_store import Flush as Progress
from streams.flushing import part_positions, written_positions
from streams.identity.handing import LOGIN_WITHIN_MS
from streams.records import Arrival, Wire
from streams.touch import Touch
from streams.waiting import LONGEST_WAIT_FLUSHES, Waiting
from tests.streams.identity_world import Told, World, whose
from tests.streams.scenes import at, policy
from tests.streams.test_identity_handover import Together, one_worker, read_all

X, Y, A = {"anonymous_id": "u"}, {"anonymous_id": "v"}, {"customer_id": "A"}
U = "anonymous_id:u"


def arrival(offset: int, key: str = U) -> Arrival:
    return Arrival(
        offset, key, Touch(offset, "web", f"e{offset}", "visit_started", 0), Wire(f"e{offset}", "web", "", "", {})
    )


def rows_of(world: World, event_id: str) -> list[str]:
    """Under whom a touchpoint was ever written."""
    return [row["customer_id"] for row in world.writer.rows(tables.TOUCHPOINTS) if row["event_id"] == event_id]


def last_position(world: World, number: int) -> int:
    """What was committed of a partition's touchpoints."""
    rows = [row for row in world.writer.rows(tables.PARTITION_PROGRESS) if row["partition"] == number and row["flush"]]
    last = max(rows, key=lambda row: (row["epoch"], row["flush"]))
    return int(last["positions"].get(TOUCHPOINTS, 0))


def progress(world: World) -> list[Progress]:
    """How far a flush would say that the partitions are."""
    return [(each.number, each.epoch, each.flushes, 0, written_positions(each)) for each in world.workers.values()]


def test_nothing_waits_for_ever() -> None:
    waiting = Waiting()
    waiting.add(arrival(7), 0)
    waiting.add(arrival(5), 0)
    for _ in range(LONGEST_WAIT_FLUSHES):
        assert not waiting.take_due(lambda key, waited: True)
        assert (len(waiting), waiting.first_offset) == (2, 5)
    assert [each.offset for each, _ in waiting.take_due(lambda key, waited: True)[U]] == [7, 5]
    assert (len(waiting), waiting.first_offset) == (0, None)
    waiting.add(arrival(9), 0)
    assert not waiting.take_due(lambda key, waited: True)
    assert [each.offset for each, _ in waiting.take_due()[U]] == [9]


def test_what_may_not_wait_is_taken_and_the_rest_stays() -> None:
    waiting = Waiting()
    waiting.add(arrival(1), 0)
    waiting.add(arrival(2, "anonymous_id:v"), 0)
    assert list(waiting.take_due(lambda key, waited: key == U)) == ["anonymous_id:v"]
    assert (len(waiting), waiting.first_offset) == (1, 1)


def test_a_visit_that_goes_on_over_a_flush_is_written_once_with_its_customer() -> None:
    world = one_worker()
    world.tell([Told(X, at(0), "first")])
    read_all(world)
    world.flush(0)
    number = world.owner_of(U)
    assert rows_of(world, "first") == [] and last_position(world, number) == 0
    world.tell([Told(X, at(0, 1), "second"), Told({**X, **A}, at(0, 2), "login")])
    read_all(world)
    world.flush(0)
    assert [rows_of(world, name) for name in ("first", "second", "login")] == [["A"], ["A"], ["A"]]
    assert last_position(world, number) == len(world.topics[TOUCHPOINTS, number])


@pytest.mark.parametrize("flushes", range(LONGEST_WAIT_FLUSHES + 2))
def test_whoever_takes_over_reads_again_what_waited(flushes: int) -> None:
    world = one_worker()
    world.tell([Told(X, at(0), "first"), Told(A, at(0), "his")])
    read_all(world)
    for _ in range(flushes):
        world.flush(0)
    assert bool(rows_of(world, "first")) == (flushes > LONGEST_WAIT_FLUSHES)
    world.start(0)
    world.tell([Told({**X, **A}, at(1), "login")])
    world.settle()
    assert whose(world) == dict.fromkeys(("first", "his", "login"), "A")


def test_a_visit_that_is_long_over_waits_for_no_one() -> None:
    world = World(policy(10_000), 1, rng=Together())
    world.tell([Told(Y, at(0), "old"), Told(X, at(0) + LOGIN_WITHIN_MS + 1, "new")])
    read_all(world)
    world.flush(0)
    assert rows_of(world, "old") == ["anonymous_id:v"] and rows_of(world, "new") == []


def test_a_commit_stops_before_what_waits_and_goes_on_with_the_next_flush() -> None:
    world = one_worker()
    world.tell([Told(A, at(0), "his"), Told(X, at(0), "first")])
    read_all(world)
    partitions = list(world.workers.values())
    read = {TP(TOUCHPOINTS, each.number): each.positions[TOUCHPOINTS] for each in partitions if each.positions}
    waits, free = TP(TOUCHPOINTS, world.owner_of(U)), TP(TOUCHPOINTS, world.owner_of("customer_id:A"))
    first = world.workers[waits.partition].waiting.first_offset
    committed, left = part_positions(read, progress(world))
    assert committed[waits] == first and left[waits] == read[waits]
    assert waits.partition == free.partition or (committed[free], free in left) == (read[free], False)
    world.flush(0)
    world.flush(0)
    world.flush(0)
    assert part_positions(left, progress(world)) == (left, {})
