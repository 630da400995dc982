"""Who holds what on a product now, whatever was written how often and in which order."""

import json
from collections.abc import Mapping
from pathlib import Path
from shutil import copytree
from time import time
from typing import Any

import pytest

from sinks.migrate import MIGRATIONS, migrate
from sinks.tables import PROMISES, TOUCHPOINTS
from sinks.writer import ClickHouseWriter
from tests.sinks.rows import put, uuid

pytestmark = pytest.mark.integration

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
NOW_MS = int(time() * 1000)
INTEREST = "SELECT customer_id, sku, store_id, kind, order_id FROM analytics.open_interest"


def touch(kind: str, days_ago: float, properties: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    at_ms = NOW_MS - int(days_ago * DAY_MS)
    said = {"customer_id": "C-1", "source": "web", "event_id": f"{kind}@{days_ago}", "type": kind}
    return {
        **said,
        "occurred_at_ms": at_ms,
        "received_at_ms": at_ms,
        "properties": json.dumps(properties or {}),
        **more,
    }


def cart(days_ago: float, quantity: int = 1, **more: Any) -> dict[str, Any]:
    return touch("cart_updated", days_ago, {"sku": "A", "quantity": quantity}, **more)


def order(days_ago: float, order_id: str = "O-1", **properties: Any) -> dict[str, Any]:
    return touch("order_placed", days_ago, {"amount": 1.5, **properties}, order_id=order_id)


def promise(number: int, kind: str, subject: str, status: str = "open", **more: Any) -> dict[str, Any]:
    said = {"customer_id": "C-1", "promise_id": str(uuid(number)), "kind": kind, "subject": subject, "status": status}
    return {**said, "requested_at_ms": NOW_MS - HOUR_MS, "_version": 5, **more}


CARTS: dict[str, tuple[list[dict[str, Any]], bool]] = {
    "filled": ([cart(13)], True),
    "too old": ([cart(15)], False),
    "emptied": ([cart(2), cart(1, 0)], False),
    "filled again": ([cart(2, 0), cart(1)], True),
    "bought": ([cart(2), touch("purchased", 1)], False),
    "bought something before": ([cart(1), touch("purchased", 2)], True),
    "ordered": ([cart(2), touch("order_placed", 1, order_id="O-1")], False),
    "another bought": ([cart(2), touch("purchased", 1, customer_id="C-2")], True),
}


@pytest.mark.parametrize(("touches", "held"), CARTS.values(), ids=CARTS)
def test_carts(
    clickhouse: ClickHouseWriter, analyst: ClickHouseWriter, touches: list[dict[str, Any]], held: bool
) -> None:
    put(clickhouse, TOUCHPOINTS, *touches)
    assert analyst.query(INTEREST) == ([("C-1", "A", "", "cart", "")] if held else [])


ENDS = [touch(kind, 1, order_id="O-1") for kind in ("delivered", "picked_up", "returned", "parcel_returned")]


@pytest.mark.parametrize("end", ENDS, ids=lambda each: str(each["type"]))
def test_an_order_is_open_until_it_arrived_or_went_back(
    clickhouse: ClickHouseWriter, analyst: ClickHouseWriter, end: dict[str, Any]
) -> None:
    put(
        clickhouse, TOUCHPOINTS, order(5, sku="A"), order(4, "O-2", skus=["A", "B"], sku="B"), order(61, "O-3", sku="A")
    )
    put(clickhouse, TOUCHPOINTS, order(3, "", sku="A"), order(3, "O-4"), {**end, "customer_id": "C-2"})
    expected = {("O-1", "A"), ("O-2", "A"), ("O-2", "B")}
    found = analyst.query(INTEREST)
    assert {(order_id, sku) for _, sku, _, _, order_id in found} == expected and len(found) == 3
    put(clickhouse, TOUCHPOINTS, end)
    assert {row[-1] for row in analyst.query(INTEREST)} == {"O-2"}


def test_holds_and_wishes_last_as_long_as_their_promises(
    clickhouse: ClickHouseWriter, analyst: ClickHouseWriter
) -> None:
    held = touch("hold_created", 0, {"sku": "A"}, occurred_at_ms=NOW_MS - HOUR_MS, store_id="S-1")
    put(clickhouse, TOUCHPOINTS, held)
    put(clickhouse, PROMISES, promise(1, "hold", "A"), promise(2, "restock", "A"), promise(3, "restock", "a@b.c@S-2"))
    put(clickhouse, PROMISES, promise(4, "delivery", "A"), promise(5, "restock", "B", "broken"))
    put(clickhouse, PROMISES, promise(6, "hold", "C", "kept"), promise(7, "restock", "C", "withdrawn"))
    assert sorted(row[1:4] for row in analyst.query(INTEREST)) == [
        ("A", "", "wish"),
        ("A", "S-1", "hold"),
        ("B", "", "wish"),
        ("a@b.c", "S-2", "wish"),
    ]
    put(clickhouse, PROMISES, promise(1, "hold", "A", "kept", _version=6), promise(1, "hold", "A", _version=4))
    put(clickhouse, PROMISES, promise(2, "", "", "withdrawn", _version=6, _is_deleted=1))
    assert sorted(row[1:4] for row in analyst.query(INTEREST)) == [("B", "", "wish"), ("a@b.c", "S-2", "wish")]


@pytest.mark.parametrize("in_reverse", [False, True])
def test_duplicates_and_retractions_leave_what_the_touchpoints_show(
    clickhouse: ClickHouseWriter, analyst: ClickHouseWriter, in_reverse: bool
) -> None:
    former = cart(2, 3, event_id="again", store_id="former")
    accepted = cart(1, 3, event_id="again", store_id="accepted", received_at_ms=former["received_at_ms"] - 1)
    retracted = {**former, "properties": "{}", "store_id": "", "_is_deleted": 1}
    moved = cart(2, customer_id="provisional")
    gone = {**moved, "properties": "{}", "_is_deleted": 1}
    rows = [former, former, retracted, accepted, moved, gone]
    for row in reversed(rows) if in_reverse else rows:
        put(clickhouse, TOUCHPOINTS, row)
    assert analyst.query(INTEREST) == [("C-1", "A", "accepted", "cart", "")]
    assert analyst.query("SELECT toUnixTimestamp64Milli(since) FROM analytics.open_interest") == [(NOW_MS - DAY_MS,)]


def test_history_and_retractions_are_not_kept_by_product(clickhouse: ClickHouseWriter) -> None:
    put(clickhouse, TOUCHPOINTS, cart(61), order(61, sku="A"), {**cart(1), "properties": "{}", "_is_deleted": 1})
    assert clickhouse.query("SELECT * FROM journeys.interest") == []


def test_one_product_is_read_without_the_others(clickhouse: ClickHouseWriter) -> None:
    def carts(number: int) -> dict[str, Any]:
        properties = {"sku": f"P-{number:06}", "quantity": 1}
        return touch("cart_updated", 1, properties, event_id=str(number), customer_id=f"C-{number}")

    put(clickhouse, TOUCHPOINTS, *map(carts, range(30_000)))
    question = f"{INTEREST} WHERE sku = 'P-000777'"
    assert [row[0] for row in clickhouse.query(question)] == ["C-777"]
    lines = [line.strip("│├└─ ") for (line,) in clickhouse.query(f"EXPLAIN indexes = 1 {question}")]
    reads = [i for i, line in enumerate(lines) if "(sku in ['P-000777', 'P-000777'])" in line]
    assert len(reads) >= 3, "carts, orders and promises are found by their key"
    assert {line for i in reads for line in lines[i : i + 3] if line.startswith("Granules")} == {"Granules: 1/4"}


def test_what_was_there_before_the_view_is_in_it(
    clickhouse: ClickHouseWriter, options: dict[str, Any], tmp_path: Path
) -> None:
    for name in ("journeys", "analytics"):
        clickhouse.query(f"DROP DATABASE {name} SYNC")
    early = Path(copytree(MIGRATIONS, tmp_path / "migrations"))
    for later in early.glob("*.sql"):
        if later.name >= "0003":
            later.unlink()
    migrate(options, early)
    writer = ClickHouseWriter({**options, "database": "default"})
    old = "(customer_id, type, occurred_at, properties, _version) VALUES"
    writer.query(
        f"INSERT INTO journeys.touchpoints {old} ('C-1', 'cart_updated', now(), '{{\"sku\":\"A\",\"quantity\":1}}', 1)"
    )
    writer.query(
        "INSERT INTO journeys.promises (customer_id, promise_id, kind, subject, status, _version)"
        f" VALUES ('C-1', '{uuid(1)}', 'hold', 'A', 'open', 1)"
    )
    writer.close()
    migrate(options)
    assert sorted(row[3] for row in clickhouse.query(INTEREST)) == ["cart", "hold"]
    assert clickhouse.query("SELECT count() FROM analytics.touchpoints") == [(1,)]
