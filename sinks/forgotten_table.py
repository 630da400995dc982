"""The insert of the block list: hashes of identifiers whose customers were erased."""

from __future__ import annotations

from sinks.table import Table, moment_of

FORGOTTEN_IDENTIFIERS = Table(
    "journeys.forgotten",
    wire=(("identifier_hash", "String"), ("receipt_id", "String"), ("forgotten_at_ms", "Int64")),
    derived=(moment_of("forgotten_at"),),
    hidden=frozenset({"forgotten_at_ms"}),
)
