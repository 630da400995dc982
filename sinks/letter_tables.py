"""The inserts of refused input and of its replays."""

from __future__ import annotations

from sinks.table import INGESTED, Table, moment_of

DEAD_LETTERS = Table(
    "journeys.dead_letters",
    wire=(
        ("topic", "String"),
        ("partition", "UInt16"),
        ("offset", "UInt64"),
        ("reason", "String"),
        ("step", "String"),
        ("detail", "String"),
        ("key", "String"),
        ("raw", "String"),
        ("raw_bytes", "UInt64"),
        ("refused_at_ms", "Int64"),
        ("arrived_at_ms", "Int64"),
        ("headers", "Map(String, String)"),
        ("replay_of", "String"),
        ("attempt", "UInt16"),
    ),
    derived=(moment_of("refused_at"), moment_of("arrived_at"), ("raw_hash", "sipHash64(raw)"), INGESTED),
    hidden=frozenset({"refused_at_ms", "arrived_at_ms"}),
)
"""`replay_of` is empty and `attempt` 0 for what is no replay of a dead letter."""

DEAD_LETTER_REPLAYS = Table(
    "journeys.dead_letter_replays",
    wire=(
        ("topic", "String"),
        ("partition", "UInt16"),
        ("offset", "UInt64"),
        ("raw_hash", "UInt64"),
        ("attempt", "UInt16"),
        ("by", "String"),
        ("to_topic", "String"),
        ("to_key", "String"),
        ("source", "String"),
        ("event_id", "String"),
        ("mapping", "String"),
        ("replayed_at_ms", "Int64"),
    ),
    derived=(moment_of("replayed_at"), INGESTED),
    hidden=frozenset({"replayed_at_ms"}),
)
