"""A rebuild stitches a customer anew from what is stored: with what came too late, and by the settings of today."""

import pytest

from schemas.links import encode_forgotten
from schemas.partitioning import partition_of
from schemas.topics import IDENTITY_LINKS, REBUILD_HEADER, REBUILD_VALUE, TOUCHPOINTS, TOUCHPOINTS_REKEYED
from sinks import tables
from streams.history_reader import HistoryReader
from streams.outcome import Outcome
from streams.policy import Policy
from streams.stitching import StitchingRules
from tests.streams.identity_world import TOPICS, Sent, Told, World
from tests.streams.oracle import HOUR_MS
from tests.streams.scenes import at

KEY = "customer_id:C"
OTHERS = [f"D{number}" for number in range(9)]


def gap(hours: int) -> Policy:
    """Journeys end after so many hours; an hour after the last one may be reopened nothing is in time."""
    return Policy(StitchingRules(hours * HOUR_MS, hours * HOUR_MS, HOUR_MS, hold_open=False))


def seen(event_id: str, hours: int, customer: str = "C") -> Told:
    return Told({"customer_id": customer}, at(hours), event_id)


def ask(world: World, key: str = KEY, partition_key: str = "") -> None:
    sent = Sent(REBUILD_VALUE, key.encode(), ((REBUILD_HEADER, b"1"),))
    world.send(TOUCHPOINTS_REKEYED, partition_key or key, sent)


def too_late() -> World:
    """A journey of two touchpoints; a third that belongs between them came when all was closed."""
    world = World(gap(24), 2)
    world.tell([seen("a", 0), seen("c", 10)])
    world.settle()
    world.tell([seen("z", 24 * 30, name) for name in ("C", *OTHERS)])
    world.settle()
    world.tell([seen("b", 5)])
    world.settle()
    assert late(world) == {"b"} and sizes(world) == [1, 2]
    return world


def late(world: World) -> set[str]:
    return {row["event_id"] for row in world.rows(tables.TOUCHPOINTS) if row["late"]}


def sizes(world: World) -> list[int]:
    return sorted(row["touchpoints"] for row in world.rows(tables.JOURNEYS) if row["customer_id"] == "C")


def test_what_came_too_late_is_in_its_journey_after_a_rebuild() -> None:
    world = too_late()
    before = {row["journey_id"] for row in world.rows(tables.JOURNEYS)}
    ask(world)
    world.settle()
    assert late(world) == set() and sizes(world) == [1, 3]
    assert {row["journey_id"] for row in world.rows(tables.JOURNEYS)} == before
    [row] = [row for row in world.rows(tables.TOUCHPOINTS) if row["event_id"] == "b"]
    assert (row["_topic"], row["_partition"]) == ("touchpoints", partition_of(KEY.encode(), 2)), (
        "it is still found where it lies"
    )


@pytest.mark.parametrize("tables_written", range(7))
def test_a_worker_that_dies_over_it_has_the_next_one_do_it(tables_written: int) -> None:
    world, number = too_late(), partition_of(KEY.encode(), 2)
    ask(world)
    assert world.process(number, TOUCHPOINTS_REKEYED, 10)
    world.flush(number)
    world.flush(number, tables_written)
    world.start(number)
    world.settle()
    assert late(world) == set() and sizes(world) == [1, 3]


def test_a_rebuild_of_what_is_right_changes_nothing_that_is_seen() -> None:
    world = too_late()
    ask(world)
    world.settle()
    shown = ("journey_id", "customer_id", "touchpoints", "started_at_ms", "ended_at_ms", "status", "outcome")
    before = [{name: row[name] for name in shown} for row in world.rows(tables.JOURNEYS)]
    ask(world)
    world.settle()
    after = [{name: row[name] for name in shown} for row in world.rows(tables.JOURNEYS)]
    assert sorted(map(str, after)) == sorted(map(str, before))


def test_settings_of_today_hold_for_the_past_and_former_journeys_are_taken_back() -> None:
    world = World(gap(24), 2)
    world.tell([seen("a", 0), seen("b", 10), seen("z", 24 * 30)])
    world.settle()
    assert sizes(world) == [1, 2]
    world.policy = gap(1)
    for number in range(2):
        world.start(number)
    ask(world)
    world.settle()
    assert sizes(world) == [1, 1, 1]


def test_one_who_is_asked_for_in_the_wrong_partition_is_sent_there() -> None:
    world = too_late()
    elsewhere = next(
        f"customer_id:{name}"
        for name in OTHERS
        if partition_of(f"customer_id:{name}".encode(), 2) != partition_of(KEY.encode(), 2)
    )
    ask(world, partition_key=elsewhere)
    world.settle()
    assert late(world) == set() and sizes(world) == [1, 3]


def test_one_of_whom_nothing_is_known_leaves_nothing_behind() -> None:
    world = World(gap(1), 2)
    ask(world, "customer_id:nobody")
    world.settle()
    assert world.rows(tables.JOURNEYS) == [] == world.rows(tables.TOUCHPOINTS)


def test_another_version_of_what_is_there_stays_late() -> None:
    world = World(gap(24), 2)
    world.tell([seen("a", 0), seen("c", 10)])
    world.settle()
    world.tell(seen("z", 24 * 60, name) for name in OTHERS)
    world.settle()
    # Nobody remembers the first version; what was received first counts, then as now.
    world.tell([seen("a", 2)])
    world.settle()
    for _ in range(2):
        ask(world)
        world.settle()
        assert sizes(world) == [2] and late(world) == {"a"}


def test_a_rebuild_and_a_move_in_the_same_flush_double_nothing() -> None:
    anonymous = {"anonymous_id": "X"}
    world = World(gap(24), 2)
    world.tell([Told(anonymous, at(0), "a"), Told(anonymous, at(10), "c")])
    world.settle()
    world.tell([Told(anonymous, at(24 * 30), "z"), *(seen("z", 24 * 30, name) for name in OTHERS)])
    world.settle()
    world.tell([Told(anonymous, at(5), "b")])
    world.settle()
    assert late(world) == {"b"}
    world.tell([Told({"customer_id": "C", **anonymous}, at(24 * 30 + 1), "login")])
    for number in world.workers:
        world.process(number, TOUCHPOINTS, 50)
    ask(world, "anonymous_id:X")
    for number in world.workers:
        for topic in TOPICS:
            world.process(number, topic, 50)
    world.settle()
    found = sorted(
        (row["event_id"], row["customer_id"])
        for row in world.rows(tables.TOUCHPOINTS)
        if row["customer_id"] not in OTHERS
    )
    assert found == [(name, "C") for name in ("a", "b", "c", "login", "z")]


def test_who_is_erased_between_question_and_answer_is_not_stitched() -> None:
    world, number = too_late(), partition_of(KEY.encode(), 2)
    ask(world)
    world.process(number, TOUCHPOINTS_REKEYED, 50)
    world.flush(number)
    worker = world.workers[number]
    answers = HistoryReader(world.writer, world.policy.plan.keeps).answer(worker.identities.ask(10))
    assert KEY in answers.partial
    world.send(IDENTITY_LINKS, KEY, Sent(encode_forgotten(KEY), KEY.encode()))
    world.process(number, IDENTITY_LINKS, 50)
    worker.identities.apply(answers, Outcome())
    customer = worker.known(KEY)
    assert customer is None or not customer.log
