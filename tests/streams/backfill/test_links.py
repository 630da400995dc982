"""Who moves before whom, and what is decided anew."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.backfill.links import decide_anew, order_merges
from streams.identity.asking import Known
from streams.identity.choice import Evidence, Limits

KEYS = [f"customer_id:C-{number}" for number in range(7)]


def settle(owners: dict[str, str], key: str) -> str:
    """Where all of a customer ends, in plain lines: along the links, and with the smallest of a circle."""
    way = [key]
    while (onward := owners.get(way[-1])) is not None:
        if onward in way:
            return min(way[way.index(onward) :])
        way.append(onward)
    return way[-1]


@given(st.dictionaries(st.sampled_from(KEYS), st.sampled_from(KEYS)))
def test_moving_level_by_level_brings_everybody_to_where_links_lead(links: dict[str, str]) -> None:
    owners = {key: owner for key, owner in links.items() if key != owner}
    merges = order_merges(owners)
    where = {key: key for key in KEYS}
    for level in merges.levels:
        for key in level:
            assert owners[key] not in level, "what has moved in would be taken away with the rest"
            for each, now in where.items():
                if now == key:
                    where[each] = owners[key]
    assert where == {key: settle(owners, key) for key in KEYS}


def test_only_what_changes_is_decided_and_a_lost_owner_is_named() -> None:
    first = Evidence("customer_id:C-1", "seen_together", 1_000, "web", "e1")
    earlier = Evidence("customer_id:C-2", "seen_together", 500, "web", "e0")
    known = {
        "anonymous_id:same": Known([first], "customer_id:C-1", "linked", 7),
        "anonymous_id:new": Known([first]),
        "anonymous_id:other": Known([first, earlier], "customer_id:C-1", "linked", 90),
        "anonymous_id:nobody": Known([]),
    }
    changes = {
        each.decided.identifier: each for each in decide_anew(known, Limits(), lambda _: 50, {"anonymous_id:new": 9})
    }
    assert changes.keys() == {"anonymous_id:new", "anonymous_id:other"}
    new, other = changes["anonymous_id:new"], changes["anonymous_id:other"]
    assert (new.decided.decision.owner, new.decided.version, new.decided.first_ms, new.former) == (
        "customer_id:C-1", 50, 9, "",
    )  # fmt: skip
    assert (other.decided.decision.owner, other.decided.version, other.former) == (
        "customer_id:C-2", 91, "customer_id:C-1",
    )  # fmt: skip
