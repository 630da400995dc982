"""What a backfill asks and orders of ClickHouse.

Those about some names find them in table `asked`, see `sinks.writer.Writer.stream_about`.
"""

from __future__ import annotations

from schemas.identifiers import KINDS

IS_EMPTY = """SELECT (SELECT count() FROM journeys.touchpoints) + (SELECT count() FROM journeys.journeys)
    + (SELECT count() FROM journeys.customer_state) + (SELECT count() FROM journeys.identity_links) = 0"""
"""One row: 1 where nobody is known yet."""

LINKED = """SELECT DISTINCT identifier FROM journeys.identity_links
WHERE _ingested_at >= fromUnixTimestamp64Milli(%(since_ms)s, 'UTC') ORDER BY identifier"""
"""Rows (record key): identifiers of which something was said since a moment."""

FIRST_SEEN = """SELECT customer_id, toUnixTimestamp64Milli(min(occurred_at)) FROM journeys.touchpoints
WHERE customer_id IN (SELECT name FROM asked) AND NOT _is_deleted GROUP BY customer_id"""
"""Rows (customer, epoch ms): the first touchpoint under a name."""

MERGES = """SELECT identifier, owner, _version FROM journeys.identity_owners FINAL
WHERE owner != '' AND startsWith(identifier, 'customer_id:')"""
"""Rows (record key, record key, version): customers who were merged into others."""

_KINDS = ", ".join(f"'{kind}'" for kind in KINDS)


def _name_of(key: str) -> str:
    return (
        f"if(startsWith({key}, 'customer_id:') AND splitByChar(':', substring({key}, 13))[1] NOT IN ({_KINDS}), "
        f"substring({key}, 13), {key})"
    )


_OWNERS = f"""(
    SELECT {_name_of("identifier")} AS name, identifier, {_name_of("owner")} AS owner_name, _version AS linked
    FROM journeys.identity_owners FINAL WHERE owner != '' AND {{chosen}})"""

OF_KIND = "startsWith(identifier, %(kind)s)"
NAMED = "identifier IN %(identifiers)s"
"""Whose history moves: all identifiers of a kind (with its colon), or these."""

MONTHS = """SELECT DISTINCT toYYYYMM(occurred_at) FROM journeys.touchpoints
WHERE customer_id IN (SELECT name FROM {owners}) ORDER BY 1"""
"""Rows (month): those in which there is anything to move."""

MOVE = """INSERT INTO journeys.touchpoints
SELECT touch.* REPLACE (
    owners.owner_name AS customer_id, arrayPushBack(touch.via, owners.identifier) AS via,
    arrayPushBack(touch._via_versions, owners.linked) AS _via_versions, touch._moves + 1 AS _moves, false AS late,
    bitOr(touch._version, bitShiftLeft(toUInt64(1), 63)) + bitShiftLeft(toUInt64(1), 44) AS _version,
    now64(3, 'UTC') AS _ingested_at)
FROM (SELECT * FROM journeys.touchpoints FINAL
    WHERE toYYYYMM(occurred_at) = %(month)s AND customer_id IN (SELECT name FROM {owners})) AS touch
INNER JOIN {owners} AS owners ON touch.customer_id = owners.name"""
"""Brings touchpoints to the owners of the identifiers that they are stored under. What has moved is never late."""

TAKE_AWAY = """INSERT INTO journeys.touchpoints
SELECT * REPLACE (_version + 1 AS _version, 1 AS _is_deleted, now64(3, 'UTC') AS _ingested_at)
FROM journeys.touchpoints FINAL
WHERE toYYYYMM(occurred_at) = %(month)s AND customer_id IN (SELECT name FROM {owners})"""
"""Takes away what `MOVE` has brought elsewhere; no owner may be among those who move."""

NEWEST_MOVED = """SELECT customer_id, toUnixTimestamp64Milli(max(occurred_at)) AS newest FROM journeys.touchpoints
WHERE notEmpty(via) AND NOT _is_deleted AND _ingested_at >= fromUnixTimestamp64Milli(%(since_ms)s, 'UTC')
GROUP BY customer_id ORDER BY newest DESC"""
"""Rows (customer, epoch ms), the newest first: to whom something was moved since a moment."""

_TOUCHED = "_ingested_at >= fromUnixTimestamp64Milli(%(since_ms)s, 'UTC')"

SAMPLE = f"""SELECT count(), groupArraySample(%(size)s, 1)(customer_id) FROM journeys.touchpoints WHERE {_TOUCHED}"""
"""One row: how many touchpoints were written since a moment, and a sample of their customers."""

_RANGE = "customer_id >= %(first)s AND (%(last)s = '' OR customer_id < %(last)s)"

TOUCHED = f"""SELECT DISTINCT customer_id FROM journeys.touchpoints PREWHERE {_RANGE} WHERE {_TOUCHED}"""
"""Rows (customer): of whom anything was written since a moment, in a range of names."""

HISTORY = f"""SELECT customer_id, toUnixTimestamp64Milli(occurred_at), source, event_id, type,
    toUnixTimestamp64Milli(received_at), channel, order_id, case_id, store_id, agent_id,
    if(type IN %(signals)s, properties, ''), _moves
FROM journeys.touchpoints FINAL
PREWHERE {_RANGE} AND {{touched}}
WHERE NOT late AND type NOT IN %(unstitched)s
ORDER BY customer_id, occurred_at, source, event_id
SETTINGS do_not_merge_across_partitions_select_final = 1, max_threads = 1"""
"""Touchpoints of all customers in a range of names, in order: 13 columns."""

EVERYBODY = "1"

LINKED_IN = f"""SELECT DISTINCT {_name_of("identifier")} AS name FROM journeys.identity_links
WHERE name >= %(first)s AND (%(last)s = '' OR name < %(last)s)
    AND _ingested_at >= fromUnixTimestamp64Milli(%(since_ms)s, 'UTC')"""
"""Rows (customer): of whose identity anything was said since a moment, in a range of names."""

ONLY_TOUCHED = f"customer_id IN ({TOUCHED} UNION DISTINCT {LINKED_IN})"
"""Of `HISTORY`: those of whom anything was written or said."""

STATES = """SELECT customer_key, segment, next_due_ms, blob FROM journeys.customer_state FINAL
WHERE customer_key IN (SELECT name FROM asked) ORDER BY customer_key, segment"""
"""Rows (customer_key, segment, next_due_ms, blob): the stored state of customers by their record keys."""


def about(sql: str, chosen: str) -> str:
    """One of `MONTHS`, `MOVE` and `TAKE_AWAY` for those whom `OF_KIND` or `NAMED` chooses."""
    return sql.format(owners=_OWNERS.format(chosen=chosen))
