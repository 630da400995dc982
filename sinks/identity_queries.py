"""What the worker asks of identities and histories, each a text of its own: an in-memory writer answers them too.

Those about some names find them in table `asked`, see `sinks.writer.Writer.stream_about`."""

from __future__ import annotations

from collections.abc import Sequence

from sinks.state_queries import in_ranges

EVIDENCE = """SELECT identifier, owner, rule, toUnixTimestamp64Milli(occurred_at), source, event_id
FROM journeys.identity_links WHERE identifier IN (SELECT name FROM asked)
ORDER BY identifier, rule IN ('unlinked', 'relinked') DESC, occurred_at, source, event_id
LIMIT 1000 BY identifier"""
"""Rows (identifier, owner, rule, epoch ms, source, event id): what people did, then what was seen first; some twice."""

DECIDED = """SELECT identifier, owner, status, _version FROM journeys.identity_owners
WHERE identifier IN (SELECT name FROM asked) ORDER BY identifier, _version DESC LIMIT 1 BY identifier"""
"""Rows (identifier, owner, status, version): what was decided last."""


def decided_between(ranges: Sequence[tuple[int, int]]) -> str:
    """Rows (identifier) of which it was decided last by a version in one of `ranges` (both ends included)."""
    # Not FINAL: that would read all identifiers, to find these few.
    return f"""SELECT identifier FROM journeys.identity_owners
WHERE identifier IN (SELECT identifier FROM journeys.identity_owners WHERE {in_ranges("_version", ranges)})
GROUP BY identifier HAVING {in_ranges("max(_version)", ranges)}"""


SIZES = """SELECT customer_id, count() FROM journeys.touchpoints
WHERE customer_id IN (SELECT name FROM asked) GROUP BY customer_id"""
"""Rows (customer, touchpoints or more: all versions count)."""

MERGED = """SELECT DISTINCT identifier FROM journeys.identity_links WHERE startsWith(identifier, 'customer_id:')"""
"""Rows (record key): customers of whom anything was said, which is that they were merged into others."""

ACTS = """SELECT owner, identifier, rule, toUnixTimestamp64Milli(occurred_at) FROM journeys.identity_links
WHERE rule IN ('unlinked', 'relinked')"""
"""Rows (owner, identifier, rule, epoch ms): what people did; some twice."""

_KEY = "customer_id, occurred_at, source, event_id"
# Not FINAL: for a few customers of many, sorting their rows costs a third of it.
_HISTORY = f"""SELECT customer_id, toUnixTimestamp64Milli(occurred_at), source, event_id, type,
    toUnixTimestamp64Milli(received_at), channel, order_id, case_id, store_id, agent_id, properties,
    toJSONString(identifiers), if(sent_at = toDateTime64(0, 3, 'UTC'), 0, toUnixTimestamp64Milli(sent_at)),
    toUnixTimestamp64Milli(occurred_at_original), late, schema_version, via, _via_versions, _moves,
    _topic, _partition, _offset
FROM
(
    SELECT * FROM journeys.touchpoints WHERE customer_id IN (SELECT name FROM asked)
    ORDER BY {_KEY}, _version DESC LIMIT 1 BY {_KEY}
)
WHERE NOT _is_deleted"""

HISTORY = f"{_HISTORY}\nSETTINGS max_threads = 2"
"""Touchpoints of customers, as tables show them: 23 columns."""

HISTORY_PART = f"{_HISTORY}\nORDER BY customer_id LIMIT %(most)s\nSETTINGS max_threads = 2"
"""The same, at most so many, by customer."""

WRITTEN_IDS = """SELECT 'journeys', customer_id, toString(journey_id) FROM journeys.journeys FINAL
WHERE customer_id IN (SELECT name FROM asked)
UNION ALL SELECT 'promises', customer_id, toString(promise_id) FROM journeys.promises FINAL
WHERE customer_id IN (SELECT name FROM asked)
UNION ALL SELECT 'alerts', customer_id, toString(episode_id) FROM journeys.alerts FINAL
WHERE customer_id IN (SELECT name FROM asked) AND status != 'withdrawn'"""
"""Rows (table, customer, id) of what is written of customers and not retracted."""
