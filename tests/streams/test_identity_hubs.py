"""What everybody shares, merge records in circles, long chains: bounded work, no wrong merge, and somebody sees it."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.links import MOST_OWNERS_KEPT, Link, LinkRule
from sinks import tables
from streams.identity.choice import DAY_MS as DAY
from streams.identity.choice import Evidence, Limits, add_evidence, decide
from tests.streams.identity_world import Told, World, whose
from tests.streams.scenes import at, policy

pytestmark = pytest.mark.no_cover

TABLET = "device_id:tablet"


def merged(into: str, absorbed: str, number: int, hours: int = 0) -> Told:
    properties = {"merged_id": absorbed, "reason": "same person"}
    return Told({"customer_id": into}, at(hours), f"m{number}", "customers_merged", properties)


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


def test_what_settings_say_is_nobody_never_links_unless_a_person_orders_it() -> None:
    limits = Limits(nobody=frozenset({"till", "WALK-IN"}))
    assert decide("device_id:till", [seen("customer_id:A", 0)], limits)[:2] == ("", "flagged")
    assert decide("device_id:d", [seen("customer_id:WALK-IN", 0)], limits)[:2] == ("", "flagged")
    both = [seen("customer_id:WALK-IN", 0), seen("customer_id:A", 1)]
    assert decide("device_id:d", both, limits)[:3] == ("customer_id:A", "linked", 1)
    ordered = Evidence("customer_id:A", "relinked", 5, "console", "act")
    assert decide("device_id:till", [ordered], limits).owner == "customer_id:A"


def test_settings_say_of_which_kinds_a_second_owner_is_a_conflict() -> None:
    rivals = [seen("customer_id:A", 0), seen("customer_id:B", 1)]
    for kind, unique, status in (
        ("email", {"email"}, "conflict"),
        ("email", set(), "linked"),
        ("device_id", {"device_id"}, "conflict"),
    ):
        assert decide(f"{kind}:x", rivals, Limits(unique_kinds=frozenset(unique))).status == status


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


@given(
    st.randoms(use_true_random=False), st.integers(1, MOST_OWNERS_KEPT), st.sampled_from(("device_id", "customer_id"))
)
@settings(max_examples=40)
def test_however_many_share_it_the_order_of_what_is_heard_decides_nothing(
    rng: random.Random, most: int, kind: str
) -> None:
    rule: LinkRule = "merged" if kind == "customer_id" else "seen_together"
    limits = Limits(30 * DAY, {"device_id": most})
    said = [
        Evidence(f"{owner}:{number}", rule, rng.randrange(60 * DAY), "web", f"e{number}")
        for owner in ("customer_id", "email")
        for number in range(rng.randrange(MOST_OWNERS_KEPT + 20))
    ]

    def decided() -> tuple[str, str, int]:
        kept: list[Evidence] = []
        for each in rng.sample(said, len(said)):
            add_evidence(kept, each, limits)
        assert len(kept) <= 4 * 2 * (MOST_OWNERS_KEPT + 1)
        return decide(f"{kind}:x", kept, limits)[:3]

    assert len({decided() for _ in range(4)}) == 1


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


EMAIL = f"hmac-sha256:k1:{1:064x}"


def at_the_till(world: World, *later: Told, quiet_hours: int = 0) -> None:
    """The till was taken from A; then it is seen with an e-mail address that is A's."""
    till = {"device_id": "till"}
    world.tell([Told(till, at(0), "alone"), Told({"customer_id": "A", **till}, at(1), "login")])
    world.settle()
    world.act(Link("device_id:till", "customer_id:A", "unlinked", at(2), "console", "act", "dana", "the shop's"))
    world.settle()
    assert whose(world)["alone"] == "device_id:till"
    if quiet_hours:
        world.pass_time(at(quiet_hours))
        for number in list(world.workers):
            world.start(number)
    world.tell([Told({"customer_id": "A", "email": EMAIL}, at(quiet_hours + 3), "newsletter")])
    world.tell(
        [Told({"email": EMAIL, **till}, at(quiet_hours + 4), "receipt"), Told(till, at(quiet_hours + 5), "next")]
    )
    world.settle()
    world.tell(later)
    world.settle()


@pytest.mark.parametrize("quiet_hours", [0, 2_000])
def test_what_a_person_undid_does_not_come_back_by_a_detour(quiet_hours: int) -> None:
    world = World(policy(2), 3)
    at_the_till(world, quiet_hours=quiet_hours)
    found = whose(world)
    assert (found["alone"], found["next"]) == ("device_id:till", "device_id:till")
    assert (found["receipt"], found["newsletter"], found["login"]) == ("A", "A", "A")
    assert decision(world, "device_id:till") == ("", "unlinked")


def test_where_the_detour_turns_out_to_lead_to_another_it_is_taken() -> None:
    world = World(policy(1_000), 3)
    at_the_till(world, Told({"customer_id": "B", "email": EMAIL}, at(2), "first"))
    assert {whose(world)[name] for name in ("alone", "next", "receipt")} == {"B"}
    assert decision(world, "device_id:till") == (f"email:{EMAIL}", "linked")


def test_what_a_person_joins_again_is_no_longer_kept_out() -> None:
    world = World(policy(1_000), 3)
    at_the_till(world)
    world.act(Link("device_id:till", "customer_id:A", "relinked", at(9), "console", "act2", "dana", "hers"))
    world.act(Link("device_id:till", f"email:{EMAIL}", "relinked", at(10), "console", "act3", "dana", "hers"))
    world.settle()
    assert whose(world)["alone"] == "A"
    assert decision(world, "device_id:till") == (f"email:{EMAIL}", "linked")
