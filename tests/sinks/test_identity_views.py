"""How well identity works in numbers, whatever was written how often; and what analysts see of links."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from schemas.identifiers import KINDS, customer_name
from schemas.moments import to_epoch_ms
from sinks.tables import IDENTITY_LINKS, IDENTITY_OWNERS, TOUCHPOINTS
from sinks.writer import ClickHouseWriter
from tests.sinks.rows import NOW_MS, put

pytestmark = pytest.mark.integration

DAY_MS = 86_400_000
SECOND_MS = 1_000


@pytest.fixture
def store(clickhouse: ClickHouseWriter) -> Iterator[ClickHouseWriter]:
    """No merge happens by itself, so that what a test wrote apart stays apart."""
    clickhouse.query("SYSTEM STOP MERGES")
    yield clickhouse
    clickhouse.query("SYSTEM START MERGES")


def quality(writer: ClickHouseWriter) -> dict[str, Any]:
    """The one row, by column."""
    names = [str(row[0]) for row in writer.query("DESCRIBE TABLE analytics.identity_quality")]
    (row,) = writer.query("SELECT * FROM analytics.identity_quality")
    return dict(zip(names, row, strict=True))


def now_ms(writer: ClickHouseWriter) -> int:
    return to_epoch_ms(writer.query("SELECT now64(3, 'UTC')")[0][0])


def owner(
    number: int, status: str = "linked", version: int = 1, seconds: int | None = None, **more: Any
) -> dict[str, Any]:
    """Identifier `number`; with `seconds`, linked so long after it was first seen alone."""
    first = {} if seconds is None else {"first_seen_at_ms": NOW_MS - seconds * SECOND_MS}
    belongs = {"owner": "customer_id:C-1", "linked_at_ms": NOW_MS} if status in ("linked", "conflict", "loop") else {}
    return {"identifier": f"email:{number}", "status": status, "_version": version, **belongs, **first, **more}


def touchpoint(number: int, at_ms: int, customer: str = "C-1", hops: int = 0, **more: Any) -> dict[str, Any]:
    via = json.dumps([[f"anonymous_id:{hop}", 1] for hop in range(hops)]) if hops else ""
    at = {"occurred_at_ms": at_ms, "hops_json": via}
    return {"customer_id": customer, "source": "web", "event_id": f"e{number}", **at, **more}


def test_without_anything_there_is_one_row_of_zeros_and_nulls(analyst: ClickHouseWriter) -> None:
    found = quality(analyst)
    unknown = {
        "provisional_share", "stitched_share", "stitch_rate", "mean_hops", "max_hops", "median_seconds_to_merge",
        "p95_seconds_to_merge",
    }  # fmt: skip
    assert {name for name, value in found.items() if value is None} == unknown
    assert {value for name, value in found.items() if name not in unknown} == {0}


@pytest.mark.parametrize("merged", [False, True])
def test_identifiers_count_once_by_what_was_decided_last(
    store: ClickHouseWriter, analyst: ClickHouseWriter, merged: bool
) -> None:
    put(store, IDENTITY_OWNERS, *(owner(number) for number in range(10)))
    put(store, IDENTITY_OWNERS, *(owner(number) for number in range(10)))
    put(store, IDENTITY_OWNERS, owner(0, "conflict", 2), owner(1, "flagged", 2), owner(2, "flagged", 2))
    put(store, IDENTITY_OWNERS, owner(3, "unlinked", 3), owner(4, "loop", 2), owner(0, "linked", 1))
    if merged:
        store.query("SYSTEM START MERGES")
        store.query("OPTIMIZE TABLE journeys.identity_owners FINAL")
    found = quality(analyst)
    states = ("identifiers", "linked", "conflicts", "flagged", "unlinked", "loops")
    assert [found[name] for name in states] == [10, 5, 1, 2, 1, 1]


def test_touchpoints_count_once_where_they_are_now(store: ClickHouseWriter, analyst: ClickHouseWriter) -> None:
    now = now_ms(store)
    put(store, TOUCHPOINTS, *(touchpoint(number, now - DAY_MS, "anonymous_id:a") for number in range(4)))
    put(store, TOUCHPOINTS, *(touchpoint(number, now - DAY_MS) for number in range(10, 14)))
    put(store, TOUCHPOINTS, *(touchpoint(number, now - DAY_MS) for number in range(10, 14)))
    # Two of the visitor's go to the customer, one hop and three hops away.
    for number, hops in ((0, 1), (1, 3)):
        put(store, TOUCHPOINTS, touchpoint(number, now - DAY_MS, "anonymous_id:a", _is_deleted=1))
        put(store, TOUCHPOINTS, touchpoint(number, now - DAY_MS, hops=hops, _moves=1))
    found = quality(analyst)
    assert (found["touchpoints"], found["stitched_touchpoints"], found["stitched_share"]) == (8, 2, 0.25)
    assert (found["customers"], found["provisional_customers"], found["provisional_share"]) == (2, 1, 0.5)
    assert (found["recent_touchpoints"], found["stitch_rate"]) == (8, 0.75)
    assert (found["mean_hops"], found["max_hops"]) == (2.0, 3)


def test_the_stitch_rate_is_that_of_the_last_thirty_days(store: ClickHouseWriter, analyst: ClickHouseWriter) -> None:
    now = now_ms(store)
    put(store, TOUCHPOINTS, touchpoint(1, now - 29 * DAY_MS), touchpoint(2, now - 29 * DAY_MS, "email:x"))
    put(store, TOUCHPOINTS, *(touchpoint(number, now - 31 * DAY_MS, "email:x") for number in range(3, 9)))
    found = quality(analyst)
    assert (found["touchpoints"], found["recent_touchpoints"], found["stitch_rate"]) == (8, 2, 0.5)


def test_a_customer_is_provisional_just_when_it_is_named_by_a_weaker_identifier(
    store: ClickHouseWriter, analyst: ClickHouseWriter
) -> None:
    odd = ("C-1", "loyalty_id", "email", "shop:12", "phone:12", "mail:x")
    names = {customer_name(f"customer_id:{value}") for value in odd} | {f"{kind}:x" for kind in KINDS[1:]}
    put(store, TOUCHPOINTS, *(touchpoint(number, NOW_MS, name) for number, name in enumerate(sorted(names))))
    found = quality(analyst)
    assert (found["customers"], found["provisional_customers"]) == (len(odd) + 5, 5)


def test_time_to_merge_is_that_of_identifiers_that_had_a_life_of_their_own(
    store: ClickHouseWriter, analyst: ClickHouseWriter
) -> None:
    put(store, IDENTITY_OWNERS, *(owner(number, seconds=number) for number in range(1, 101)))
    put(store, IDENTITY_OWNERS, owner(1, seconds=9_999, version=0))
    nobody = {"seconds": 9_999, "linked_at_ms": NOW_MS}
    put(store, IDENTITY_OWNERS, owner(200), owner(201, "flagged", **nobody), owner(202, "unlinked", **nobody))
    found = quality(analyst)
    assert found["timed_merges"] == 100
    assert 50 <= found["median_seconds_to_merge"] <= 51 and 95 <= found["p95_seconds_to_merge"] <= 96


def test_what_was_linked_before_it_came_alone_took_no_time(store: ClickHouseWriter, analyst: ClickHouseWriter) -> None:
    put(store, IDENTITY_OWNERS, owner(1, seconds=-3_600), owner(2, seconds=-60))
    assert quality(analyst)["median_seconds_to_merge"] == 0


def test_half_seconds_count(store: ClickHouseWriter, analyst: ClickHouseWriter) -> None:
    put(store, IDENTITY_OWNERS, owner(1, first_seen_at_ms=NOW_MS - 500))
    assert quality(analyst)["median_seconds_to_merge"] == 0.5


def test_each_column_says_what_it_is(clickhouse: ClickHouseWriter) -> None:
    rows = clickhouse.query("SELECT name, comment FROM system.columns WHERE table = 'identity_quality'")
    assert rows and [name for name, comment in rows if not comment] == []


def test_identity_shows_what_stands_and_no_time_where_there_is_none(
    store: ClickHouseWriter, analyst: ClickHouseWriter
) -> None:
    put(store, IDENTITY_OWNERS, owner(1), owner(2, seconds=5))
    put(store, IDENTITY_OWNERS, owner(1, "flagged", 2, customers=4))
    rows = analyst.query(
        "SELECT identifier, kind, status, linked_at IS NULL, first_seen_at IS NULL FROM analytics.identity"
    )
    assert sorted(rows) == [("email:1", "email", "flagged", 1, 1), ("email:2", "email", "linked", 0, 0)]
    assert analyst.query("SELECT identifier, customers FROM analytics.identity_conflicts") == [("email:1", 4)]


def test_a_link_written_again_is_one_piece_of_evidence(store: ClickHouseWriter, analyst: ClickHouseWriter) -> None:
    link = {"identifier": "email:1", "owner": "customer_id:C-1", "rule": "seen_together", "occurred_at_ms": NOW_MS}
    put(store, IDENTITY_LINKS, {**link, "source": "web", "event_id": "e1"}, {**link, "source": "web", "event_id": "e2"})
    put(store, IDENTITY_LINKS, {**link, "source": "web", "event_id": "e1"})
    assert analyst.query("SELECT event_id FROM analytics.identity_links ORDER BY event_id") == [("e1",), ("e2",)]
