"""What `sinks.memory` answers about identities and histories: the questions of `sinks.identity_queries`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from schemas.identifiers import is_customer
from schemas.links import HUMAN_RULES
from sinks import identity_queries as queries
from sinks.state_queries import IDENTITIES
from sinks.tables import ALERTS, IDENTITY_LINKS, IDENTITY_OWNERS, TOUCHPOINTS, Table

Row = dict[str, Any]
Answer = Callable[[Mapping[str, Any]], list[tuple[Any, ...]]]
Latest = Callable[[Table], list[Row]]

_COLUMNS = (
    "customer_id", "occurred_at_ms", "source", "event_id", "type", "received_at_ms", "channel", "order_id", "case_id",
    "store_id", "agent_id", "properties",
)  # fmt: skip


def identity_answers(latest: Latest) -> dict[str, Answer]:
    """Answers by question. `latest` gives what a view of a table shows."""

    def evidence(asked: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        names = ("identifier", "owner", "rule", "occurred_at_ms", "source", "event_id")
        return [_pick(row, names) for row in latest(IDENTITY_LINKS) if row["identifier"] in asked["names"]]

    def decided(asked: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        names = ("identifier", "owner", "status", "_version")
        return [_pick(row, names) for row in latest(IDENTITY_OWNERS) if row["identifier"] in asked["names"]]

    def sizes(asked: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        names = [row["customer_id"] for row in latest(TOUCHPOINTS)]
        return [(name, names.count(name)) for name in asked["names"] if name in names]

    def merged(_: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        found = {row["identifier"] for row in latest(IDENTITY_LINKS)}
        return [(key,) for key in sorted(found) if is_customer(key)]

    def acts(_: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        names = ("owner", "identifier", "rule", "occurred_at_ms")
        return [_pick(row, names) for row in latest(IDENTITY_LINKS) if row["rule"] in HUMAN_RULES]

    def history(asked: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        rows = [row for row in latest(TOUCHPOINTS) if row["customer_id"] in asked["names"]]
        return [_history_row(row) for row in sorted(rows, key=lambda row: str(row["customer_id"]))][: asked.get("most")]

    def written_ids(asked: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        return [
            (table.name.partition(".")[2], row["customer_id"], row[identity])
            for table, identity in IDENTITIES
            for row in latest(table)
            if row["customer_id"] in asked["names"] and not (table is ALERTS and row["status"] == "withdrawn")
        ]

    return {
        queries.EVIDENCE: evidence,
        queries.DECIDED: decided,
        queries.SIZES: sizes,
        queries.MERGED: merged,
        queries.ACTS: acts,
        queries.HISTORY: history,
        queries.HISTORY_PART: history,
        queries.WRITTEN_IDS: written_ids,
    }


def decided_in(owners: Sequence[Row], ranges: Sequence[tuple[int, int]]) -> list[tuple[Any, ...]]:
    """The answer to `sinks.identity_queries.decided_between`."""
    return [(row["identifier"],) for row in owners if is_in_ranges(row["_version"], ranges)]


def is_in_ranges(number: int, ranges: Sequence[tuple[int, int]]) -> bool:
    """What `sinks.state_queries.in_ranges` asks for."""
    return any(low <= number <= high for low, high in ranges)


def _pick(row: Row, names: Sequence[str]) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)


def _history_row(row: Row) -> tuple[Any, ...]:
    hops = json.loads(row["hops_json"] or "[]")
    identifiers = row["identifiers_json"] or json.dumps({"customer_id": row["customer_id"]})
    return (
        *_pick(row, _COLUMNS),
        identifiers,
        row["sent_at_ms"],
        row["occurred_at_original_ms"],
        bool(row["late"]),
        row["schema_version"],
        [name.encode() for name, _ in hops],
        [version for _, version in hops],
        row["_moves"],
        row["_topic"].encode(),
        row["_partition"],
        row["_offset"],
    )
