"""The inserts of identity: evidence, and what was decided by it."""

from __future__ import annotations

from sinks.table import INGESTED, Table, moment_of

IDENTITY_LINKS = Table(
    "journeys.identity_links",
    wire=(
        ("identifier", "String"),
        ("owner", "String"),
        ("rule", "String"),
        ("occurred_at_ms", "Int64"),
        ("source", "String"),
        ("event_id", "String"),
        ("by", "String"),
        ("reason", "String"),
    ),
    derived=(moment_of("occurred_at"), INGESTED),
    hidden=frozenset({"occurred_at_ms"}),
)

IDENTITY_OWNERS = Table(
    "journeys.identity_owners",
    wire=(
        ("identifier", "String"),
        ("owner", "String"),
        ("status", "String"),
        ("customers", "UInt32"),
        ("rule", "String"),
        ("source", "String"),
        ("event_id", "String"),
        ("linked_at_ms", "Int64"),
        ("first_seen_at_ms", "Int64"),
        ("decided_at_ms", "Int64"),
        ("_version", "UInt64"),
    ),
    derived=(moment_of("linked_at"), moment_of("first_seen_at"), moment_of("decided_at"), INGESTED),
    hidden=frozenset({"linked_at_ms", "first_seen_at_ms", "decided_at_ms"}),
)
"""`owner` is empty while an identifier belongs to nobody; `first_seen_at_ms` is 0 where nothing came under it alone."""

JOURNEY_REDIRECTS = Table(
    "journeys.journey_redirects",
    wire=(
        ("journey_id", "String"),
        ("customer_id", "String"),
        ("occurred_at_ms", "Int64"),
        ("source", "String"),
        ("event_id", "String"),
    ),
    derived=(moment_of("occurred_at"), INGESTED),
    hidden=frozenset({"occurred_at_ms"}),
)
