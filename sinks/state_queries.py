"""The questions that the state store asks, each a text of its own, so that an in-memory writer can answer them too."""

from __future__ import annotations

from collections.abc import Sequence

from sinks.tables import ALERTS, JOURNEYS, PROMISES, Table

IDENTITIES: tuple[tuple[Table, str], ...] = (
    (JOURNEYS, "journey_id"),
    (PROMISES, "promise_id"),
    (ALERTS, "episode_id"),
)
"""Tables whose rows a flush may leave behind unfinished, and the column that, with the customer, names a row."""

CLOCK_MS = "SELECT toUnixTimestamp64Milli(now64(3))"
"""One row: the server's clock."""

HIGHEST_EPOCH = "SELECT max(epoch) FROM journeys.partition_progress WHERE consumer_group = %(group)s"
"""One row: the highest epoch of any partition of the group, 0 if there is none."""

CURRENT_EPOCHS = """SELECT partition, max(epoch) FROM journeys.partition_progress
WHERE consumer_group = %(group)s AND partition IN %(partitions)s GROUP BY partition"""
"""Rows (partition, epoch)."""

LAST_PROGRESS = """SELECT partition_time_ms, positions FROM journeys.partition_progress
WHERE consumer_group = %(group)s AND partition = %(partition)s ORDER BY epoch DESC, flush DESC LIMIT 1"""
"""At most one row (partition_time_ms, positions)."""

FLUSHES = """SELECT epoch, max(flush) FROM journeys.partition_progress
WHERE consumer_group = %(group)s AND partition = %(partition)s GROUP BY epoch ORDER BY epoch"""
"""Rows (epoch, its last complete flush), epochs rising."""

RIVALS = """SELECT count() FROM journeys.partition_progress
WHERE consumer_group = %(group)s AND partition = %(partition)s AND epoch >= %(epoch)s AND worker != %(worker)s"""
"""One row: how many rows others have written at this epoch or above."""

STATES = """SELECT customer_key, segment, key_hash, next_due_ms, blob FROM journeys.customer_state FINAL
PREWHERE key_hash %% %(partitions)s = %(partition)s ORDER BY customer_key, segment"""
"""Rows (customer_key, segment, key_hash, next_due_ms, blob), the newest version of each, deleted ones left out.

PREWHERE, so that blobs of other partitions are not read; before FINAL it is right only as all versions of a row
share the hash of their key.
"""

LATE = """SELECT source, event_id, toUnixTimestamp64Milli(occurred_at), max(_offset) FROM journeys.touchpoints
WHERE _topic = %(topic)s AND _partition = %(partition)s AND _offset >= %(from)s AND _offset < %(to)s AND NOT _is_deleted
GROUP BY source, event_id, occurred_at HAVING min(late) ORDER BY max(_offset)"""
"""Rows (source, event id, epoch milliseconds, offset) of records between two offsets, the latter not included, that
were late, and were so each time."""

WISHES = """SELECT customer_id, subject FROM journeys.promises FINAL WHERE kind = 'restock'
AND requested_at > (SELECT max(requested_at) FROM journeys.promises) - INTERVAL 120 DAY"""
"""Rows (customer_id, `sku` or `sku@store_id`): wishes to be told that stock is back, on which a fact may have a say."""

OPEN_SOURCE_ALERTS = """SELECT subject, toUnixTimestamp64Milli(last_seen_at) - toInt64(actual * 1000)
FROM journeys.alerts FINAL WHERE customer_id = '' AND rule = 'source_silent' AND status = 'open'"""
"""Rows (source, since when it is silent, epoch milliseconds)."""

STOCK_FACTS = """SELECT source, event_id, type, toUnixTimestamp64Milli(occurred_at), store_id, properties
FROM journeys.facts FINAL WHERE type IN ('restocked', 'stock_level')
AND occurred_at > (SELECT max(occurred_at) FROM journeys.facts) - INTERVAL 91 DAY"""
"""Rows (source, event id, type, when, store, properties as JSON) of what may still answer a wish."""

FORGOTTEN = "SELECT DISTINCT identifier_hash FROM journeys.forgotten"
"""Rows (hash): `schemas.links.forgotten_hash` of each identifier whose customer was erased."""

REFUSED_BEFORE = """SELECT offset, any(reason) FROM journeys.dead_letters
WHERE topic = %(topic)s AND partition = %(partition)s AND offset >= %(from)s AND offset < %(to)s
GROUP BY offset ORDER BY offset"""
"""Rows (offset, reason) of what was refused of a partition between two offsets, the latter not included."""


def in_ranges(column: str, ranges: Sequence[tuple[int, int]]) -> str:
    """The condition that a column is in one of `ranges` (both ends included)."""
    return " OR ".join(f"{column} BETWEEN {low} AND {high}" for low, high in ranges)


def unfinished(table: Table, identity: str, ranges: Sequence[tuple[int, int]]) -> str:
    """Rows (customer_id, id as text) of `table` whose newest version is in one of `ranges` (both ends included).

    The ranges are written out, not computed by the server, so that its index on `_version` applies.
    """
    inside = in_ranges("_version", ranges)
    return f"""SELECT customer_id, toString({identity}) FROM {table.name} FINAL
WHERE _partition = %(partition)s AND ({inside}) AND (customer_id, {identity}) IN (
    SELECT customer_id, {identity} FROM {table.name} WHERE _partition = %(partition)s AND ({inside}))
ORDER BY customer_id, {identity} SETTINGS use_skip_indexes_if_final = 0, optimize_move_to_prewhere_if_final = 0"""
