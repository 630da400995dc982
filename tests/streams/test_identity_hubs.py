"""What everybody shares, merge records in circles, long chains: bounded work, no wrong merge, and somebody sees it."""

from __future__ import annotations

import pytest

from schemas.links import MOST_OWNERS_KEPT, Link
from sinks import tables
from streams.identity.choice import DAY_MS as DAY
from streams.identity.choice import Evidence, Limits, add_evidence, decide
from tests.streams.identity_world import Told, World
from tests.streams.scenes import at, policy

pytestmark = pytest.mark.no_cover

TABLET = "device_id:tablet"


def merged(into: str, absorbed: str, number: int, hours: int = 0) -> Told:
    properties = {"merged_id": absorbed, "reason": "same person"}
    return Told({"customer_id": into}, at(hours), f"m{number}", "customers_merged", properties)


def whose(world: World) -> dict[str, str]:
    return {row["event_id"]: row["customer_id"] for row in world.rows(tables.TOUCHPOINTS)}


def decision(world: World, identifier: str) -> tuple[str, str]:
    [row] = [row for row in world.rows(tables.IDENTITY_OWNERS) if row["identifier"] == identifier]
    return row["owner"], row["status"]


@pytest.mark.timeout(240)
def test_a_tablet_of_ten_thousand_customers_belongs_to_nobody_and_costs_little() -> None:
    customers = 10_000
    world = World(policy(1000), 2, hot=100_000)
    alone = [Told({"device_id": "tablet"}, at(n), f"alone{n}") for n in range(20)]
    world.tell(alone[:10])
    world.tell(Told({"customer_id": f"C{n}", "device_id": "tablet"}, at(0, n), f"e{n}") for n in range(customers))
    world.tell(alone[10:])
    world.settle(1_000)
    assert decision(world, TABLET) == ("", "flagged")
    found = whose(world)
    assert all(found[f"e{n}"] == f"C{n}" for n in range(customers))
    assert {found[f"alone{n}"] for n in range(20)} == {TABLET}
    assert world.moved <= 2 * len(alone), "each of its own touchpoints went to the first customer and came back"
    [tablet] = [w.find(TABLET) for w in world.workers.values() if w.find(TABLET)]
    assert tablet is not None and tablet.identity is not None
    assert len(tablet.identity.evidence) <= MOST_OWNERS_KEPT + 1
    assert len(world.rows(tables.IDENTITY_LINKS)) == customers, "all of the evidence is kept in the table"


def test_merge_records_in_a_circle_end_at_one_customer_and_say_so() -> None:
    world = World(policy(1000), 3)
    world.tell(Told({"customer_id": name}, at(0, place), f"visit{name}") for place, name in enumerate("ABC"))
    world.tell([merged("B", "A", 1), merged("C", "B", 2), merged("A", "C", 3)])
    world.settle()
    assert {whose(world)[f"visit{name}"] for name in "ABC"} == {"A"}
    assert "loop" in {row["status"] for row in world.rows(tables.IDENTITY_OWNERS)}


def test_of_contradictory_merge_records_the_first_holds_and_the_conflict_shows() -> None:
    world = World(policy(1000), 3)
    world.tell([Told({"customer_id": "A"}, at(0), "visit"), merged("C", "A", 1, 2), merged("B", "A", 2, 1)])
    world.settle()
    assert whose(world)["visit"] == "B"
    assert decision(world, "customer_id:A") == ("customer_id:B", "conflict")


def test_an_email_of_two_customers_stays_with_the_first_and_joins_nobody() -> None:
    email = {"email": f"hmac-sha256:k1:{0:064x}"}
    world = World(policy(1000), 3)
    world.tell(
        [
            Told(email, at(0), "mail"),
            Told({"customer_id": "A", **email}, at(2), "a"),
            Told({"customer_id": "B", **email}, at(1), "b"),
        ]
    )
    world.settle()
    assert whose(world) == {"mail": "B", "a": "A", "b": "B"}
    assert decision(world, f"email:{email['email']}") == ("customer_id:B", "conflict")


def test_a_chain_of_fifty_merges_ends_at_its_end_in_fifty_hops() -> None:
    links = 50
    world = World(policy(1000), 3)
    world.tell(
        [Told({"anonymous_id": "x"}, at(0), "first"), Told({"customer_id": "C0", "anonymous_id": "x"}, at(1), "login")]
    )
    world.tell(merged(f"C{n + 1}", f"C{n}", n) for n in range(links))
    world.settle()
    assert whose(world)["first"] == whose(world)["login"] == f"C{links}"
    # Each touchpoint, and each merge record too, goes at most once over each link of the chain.
    assert world.moved <= (links + 2) * (links + 1)
    [first] = [row for row in world.rows(tables.TOUCHPOINTS) if row["event_id"] == "first"]
    assert first["hops_json"].count("customer_id:") == links


def test_no_more_histories_move_in_one_flush_than_allowed() -> None:
    visits = 35
    world = World(policy(1000), 1)
    world.tell(Told({"anonymous_id": f"s{n}"}, at(0, n), f"e{n}") for n in range(visits))
    world.process(0, "touchpoints", visits)
    world.flush(0)
    world.tell(Told({"anonymous_id": f"s{n}", "customer_id": "C"}, at(1, n), f"login{n}") for n in range(visits))
    world.process(0, "touchpoints", visits)
    world.process(0, "identity-links", visits)
    moves = []
    for _ in range(6):
        before = world.moved
        world.flush(0)
        moves.append(world.moved - before)
    assert moves == [0, 10, 10, 10, 5, 0], "ten at a time, as this world's flush asks for"


def seen(owner: str, day: int, event: str = "e") -> Evidence:
    return Evidence(owner, "seen_together", day * DAY, "web", event)


def test_owners_are_counted_by_window_and_kind() -> None:
    limits = Limits(30 * DAY, {"device_id": 2})
    apart = [seen("customer_id:A", 0), seen("customer_id:B", 1), seen("customer_id:C", 31), seen("email:x", 2)]
    assert decide("device_id:d", apart, limits)[:3] == ("customer_id:A", "linked", 2)
    together = [*apart, seen("customer_id:D", 3)]
    assert decide("device_id:d", together, limits)[:3] == ("", "flagged", 3)


def test_what_a_person_orders_counts_even_for_what_is_flagged() -> None:
    limits = Limits(30 * DAY, {"device_id": 1})
    shared = [seen("customer_id:A", 0), seen("customer_id:B", 1)]
    assert decide("device_id:d", shared, limits).status == "flagged"
    ordered = Evidence("customer_id:B", "relinked", 5, "console", "act")
    assert decide("device_id:d", [*shared, ordered], limits).owner == "customer_id:B"
    undone = Evidence("customer_id:B", "unlinked", 6, "console", "act2")
    assert decide("device_id:d", [*shared, ordered, undone], limits)[:2] == ("customer_id:A", "linked")


def test_a_weaker_or_equal_identifier_never_owns() -> None:
    wrong = [seen("anonymous_id:a", 0), seen("device_id:e", 0)]
    assert decide("device_id:d", wrong, Limits()).owner == ""
    assert decide("customer_id:A", [seen("customer_id:B", 0)], Limits()).owner == ""


def test_of_one_owner_and_window_only_the_first_evidence_is_kept() -> None:
    kept: list[Evidence] = []
    limits = Limits(30 * DAY)
    assert add_evidence(kept, seen("customer_id:A", 5), limits)
    assert not add_evidence(kept, seen("customer_id:A", 6), limits)
    assert add_evidence(kept, seen("customer_id:A", 4), limits)
    assert add_evidence(kept, seen("customer_id:A", 40), limits)
    assert [each.occurred_ms // DAY for each in kept] == [4, 40]


def test_an_undone_link_gives_back_just_what_hung_on_it() -> None:
    world = World(policy(1000), 3)
    world.tell(
        [
            Told({"anonymous_id": "x"}, at(0), "x1"),
            Told({"anonymous_id": "y"}, at(0, 1), "y1"),
            Told({"customer_id": "A", "anonymous_id": "x"}, at(1), "login-x"),
            Told({"customer_id": "A", "anonymous_id": "y"}, at(1, 1), "login-y"),
        ]
    )
    world.settle()
    assert set(whose(world).values()) == {"A"}
    world.act(Link("anonymous_id:x", "customer_id:A", "unlinked", at(2), "console", "act", "dana", "a shared computer"))
    world.settle()
    assert whose(world) == {"x1": "anonymous_id:x", "y1": "A", "login-x": "A", "login-y": "A"}
    world.tell(
        [Told({"customer_id": "A", "anonymous_id": "x"}, at(3), "again"), Told({"anonymous_id": "x"}, at(3), "x2")]
    )
    world.settle()
    assert whose(world)["x2"] == "anonymous_id:x", "a later touchpoint does not link again what a person undid"
    assert decision(world, "anonymous_id:x") == ("", "unlinked")


def alerts(world: World) -> set[tuple[str, str, str]]:
    """(customer, status, why withdrawn) of the alerts about long waits."""
    rows = [row for row in world.rows(tables.ALERTS) if row["rule"] == "long_wait"]
    return {(row["customer_id"], row["status"], row["withdrawn_because"]) for row in rows}


def test_an_alert_goes_with_its_touchpoints_and_says_why_it_left() -> None:
    world = World(policy(1000), 3)
    world.tell([Told({"anonymous_id": "x"}, at(0), "queue", "queue_joined", {"queue": "tills"}, "S")])
    world.settle()
    world.pass_time(at(3))
    assert alerts(world) == {("anonymous_id:x", "open", "")}

    world.tell([Told({"anonymous_id": "x", "customer_id": "A"}, at(3), "login", "identified")])
    world.settle()
    world.pass_time(at(3))
    assert alerts(world) == {("anonymous_id:x", "withdrawn", "merged"), ("A", "open", "")}

    world.act(Link("anonymous_id:x", "customer_id:A", "unlinked", at(4), "console", "act", "dana"))
    world.settle()
    world.pass_time(at(4))
    assert alerts(world) == {("anonymous_id:x", "open", ""), ("A", "withdrawn", "unlinked")}


def test_a_former_journey_id_tells_where_its_beginning_is_now() -> None:
    world = World(policy(1000), 3)
    world.tell([Told({"anonymous_id": "x"}, at(0), "first"), Told({"customer_id": "A"}, at(1), "own")])
    world.settle()
    former = {row["customer_id"]: row["journey_id"] for row in world.rows(tables.JOURNEYS)}
    world.tell([Told({"anonymous_id": "x", "customer_id": "A"}, at(2), "login", "identified")])
    world.settle()
    [journey] = world.rows(tables.JOURNEYS)
    assert journey["touchpoints"] == 3 and journey["journey_id"] not in former.values()
    begins = {row["journey_id"]: row["event_id"] for row in world.rows(tables.JOURNEY_REDIRECTS)}
    assert begins == {former["anonymous_id:x"]: "first", former["A"]: "own"}
