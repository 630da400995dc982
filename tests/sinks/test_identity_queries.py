"""What the worker asks of identities and histories: memory and ClickHouse answer alike, whatever lies unmerged."""

from collections.abc import Mapping
from typing import Any

from sinks import identity_queries as queries
from sinks.tables import ALERTS, IDENTITY_LINKS, IDENTITY_OWNERS, JOURNEYS, PROMISES, TOUCHPOINTS, Table
from sinks.writer import Writer
from tests.sinks.rows import NOW_MS, put, uuid

X, TABLET = "anonymous_id:x", "device_id:tablet"


def put_apart(writer: Writer, table: Table, *rows: Mapping[str, Any]) -> None:
    """Each row in a part of its own."""
    for row in rows:
        put(writer, table, row)


def ask(writer: Writer, sql: str, *names: str, **parameters: Any) -> list[tuple[Any, ...]]:
    return [row for block in writer.stream_about(sql, names, parameters) for row in block]


def link(identifier: str, owner: str, at_ms: int, rule: str = "seen_together") -> dict[str, Any]:
    said = {"identifier": identifier, "owner": owner, "rule": rule, "occurred_at_ms": at_ms}
    return {**said, "source": "web", "event_id": f"e{at_ms % 100}"}


def test_evidence_is_found_by_identifier(writer: Writer) -> None:
    put_apart(writer, IDENTITY_LINKS, link(X, "customer_id:A", NOW_MS + 2), link(X, "customer_id:B", NOW_MS + 1))
    put_apart(writer, IDENTITY_LINKS, link(X, "customer_id:A", NOW_MS + 2), link(TABLET, "customer_id:A", NOW_MS))
    put_apart(writer, IDENTITY_LINKS, link("customer_id:A", "customer_id:B", NOW_MS, "merged"))
    found = set(ask(writer, queries.EVIDENCE, X, "anonymous_id:y"))
    assert {row[:4] for row in found} == {
        (X.encode(), b"customer_id:A", b"seen_together", NOW_MS + 2),
        (X.encode(), b"customer_id:B", b"seen_together", NOW_MS + 1),
    }
    assert writer.query(queries.MERGED) == [("customer_id:A",)]


def test_acts_are_what_people_did(writer: Writer) -> None:
    done, ordered = link(X, "customer_id:A", NOW_MS, "unlinked"), link(X, "customer_id:B", NOW_MS + 1, "relinked")
    put_apart(writer, IDENTITY_LINKS, link(X, "customer_id:C", NOW_MS), done, ordered)
    assert sorted(writer.query(queries.ACTS)) == [
        ("customer_id:A", X, "unlinked", NOW_MS), ("customer_id:B", X, "relinked", NOW_MS + 1)
    ]  # fmt: skip


def test_of_decisions_the_last_counts(writer: Writer) -> None:
    put_apart(writer, IDENTITY_OWNERS, {"identifier": X, "owner": "customer_id:B", "status": "linked", "_version": 7})
    put_apart(writer, IDENTITY_OWNERS, {"identifier": X, "owner": "customer_id:A", "status": "conflict", "_version": 8})
    put_apart(writer, IDENTITY_OWNERS, {"identifier": TABLET, "status": "flagged", "_version": 9})
    assert ask(writer, queries.DECIDED, X) == [(X.encode(), b"customer_id:A", b"conflict", 8)]


def touchpoint(customer: str, event: str, **more: Any) -> dict[str, Any]:
    return {"customer_id": customer, "source": "web", "event_id": event, "type": "page_viewed", **more}


def events(rows: list[tuple[Any, ...]]) -> list[tuple[str, str, int]]:
    return sorted((row[0].decode(), row[3].decode(), row[19]) for row in rows)


def test_a_history_is_what_tables_show(writer: Writer) -> None:
    hops = '[["anonymous_id:x",5],["email:e",6]]'
    put_apart(
        writer,
        TOUCHPOINTS,
        touchpoint(
            "A", "stays", hops_json=hops, _moves=2, sent_at_ms=NOW_MS - 5, identifiers_json='{"anonymous_id":"x"}'
        ),
        touchpoint("A", "left", _moves=1),
        touchpoint("A", "left", _moves=1, _is_deleted=1),
        touchpoint("A", "returned", _moves=1),
        touchpoint("A", "returned", _moves=1, _is_deleted=1),
        touchpoint("A", "returned", _moves=3),
        touchpoint("A", "repeated", received_at_ms=NOW_MS + 2),
        touchpoint("A", "repeated", received_at_ms=NOW_MS + 1),
        touchpoint("A", "late", late=1),
        touchpoint("B", "other"),
        touchpoint("C", "unasked"),
    )
    found = ask(writer, queries.HISTORY, "A", "B")
    assert events(found) == [
        ("A", "late", 0), ("A", "repeated", 0), ("A", "returned", 3), ("A", "stays", 2), ("B", "other", 0)
    ]  # fmt: skip
    rows = {row[3]: row for row in found}
    assert rows[b"repeated"][5] == NOW_MS + 1
    assert [bool(rows[name][15]) for name in (b"late", b"stays")] == [True, False]
    stays = rows[b"stays"]
    assert (stays[12], stays[13]) == (b'{"anonymous_id":"x"}', NOW_MS - 5)
    assert (list(stays[17]), list(stays[18])) == ([b"anonymous_id:x", b"email:e"], [5, 6])
    assert [name for name, *_ in events(ask(writer, queries.HISTORY_PART, "A", "B", most=4))] == ["A"] * 4
    assert dict(ask(writer, queries.SIZES, "A", "D"))[b"A"] >= 4


def test_what_is_written_of_a_customer_and_not_taken_back(writer: Writer) -> None:
    put_apart(writer, JOURNEYS, {"customer_id": "A", "journey_id": str(uuid(1)), "_version": 1})
    put_apart(writer, JOURNEYS, {"customer_id": "A", "journey_id": str(uuid(2)), "_version": 1})
    put_apart(writer, JOURNEYS, {"customer_id": "A", "journey_id": str(uuid(2)), "_version": 2, "_is_deleted": 1})
    put_apart(writer, PROMISES, {"customer_id": "A", "promise_id": str(uuid(3)), "_version": 1})
    put_apart(writer, ALERTS, {"customer_id": "A", "episode_id": str(uuid(4)), "status": "resolved", "_version": 1})
    put_apart(writer, ALERTS, {"customer_id": "A", "episode_id": str(uuid(5)), "status": "withdrawn", "_version": 1})
    put_apart(writer, ALERTS, {"customer_id": "B", "episode_id": str(uuid(6)), "status": "open", "_version": 1})
    found = {(table, identity.decode()) for table, _, identity in ask(writer, queries.WRITTEN_IDS, "A")}
    assert found == {(b"journeys", str(uuid(1))), (b"promises", str(uuid(3))), (b"alerts", str(uuid(4)))}
