"""The questions that a back-test asks of ClickHouse. It only reads."""

from __future__ import annotations

from typing import Any

from streams.backtest import Window
from streams.backtest_needs import CALENDAR_SLACK_MS, Needs, Share

Question = tuple[str, dict[str, Any]]
"""SQL and its parameters."""

SPAN = """SELECT toUnixTimestamp64Milli(min(occurred_at)), toUnixTimestamp64Milli(max(occurred_at)), count()
FROM journeys.touchpoints WHERE NOT late AND NOT _is_deleted"""
"""One row: when history begins and ends, epoch milliseconds, and of how many touchpoints (0: those are no times)."""

ACKNOWLEDGED = "SELECT toString(episode_id) FROM analytics.alerts WHERE acknowledged_by != ''"
"""Rows (episode id): what somebody has acknowledged."""

_READ = """SELECT customer_id, toUnixTimestamp64Milli(occurred_at), source, event_id, type,
       toUnixTimestamp64Milli(received_at), channel, order_id, case_id, store_id, agent_id,
       if(type IN %(signals)s, properties, '')
FROM journeys.touchpoints FINAL
PREWHERE {customers} AND {time}
WHERE NOT late AND {types}
ORDER BY customer_id, occurred_at, source, event_id
SETTINGS do_not_merge_across_partitions_select_final = 1, max_threads = 1"""

_COUNT = """SELECT count() FROM journeys.touchpoints
WHERE {customers} AND {time} AND {types} AND NOT late AND NOT _is_deleted"""

_FACTS = """SELECT source, event_id, type, toUnixTimestamp64Milli(occurred_at), store_id, properties
FROM journeys.facts FINAL
WHERE type IN ('restocked', 'stock_level') AND occurred_at <= {until} AND sku IN (
    SELECT JSONExtractString(properties, 'sku') FROM journeys.touchpoints
    WHERE type = 'back_in_stock_requested' AND occurred_at BETWEEN {first} AND {until})
ORDER BY occurred_at, source, event_id"""

_JOURNEYS = """SELECT count() FROM journeys.journeys FINAL WHERE started_at <= {until} AND ended_at >= {since}"""

_OLDER_PROMISES = """customer_id IN (
    SELECT customer_id FROM journeys.promises FINAL
    WHERE kind IN %(promises)s AND requested_at BETWEEN {first} AND {start}
      AND (settled_at = fromUnixTimestamp64Milli(0, 'UTC') OR settled_at >= {since})
      AND (kind = 'restock' OR latest_promised_at >= {lapsing}))"""

_HAS_BEGUN = """customer_id IN (
    SELECT customer_id FROM journeys.touchpoints
    WHERE type IN %(beginnings)s AND occurred_at BETWEEN {first} AND {until})"""


def touchpoints(needs: Needs, share: Share) -> Question:
    """Rows in order of customer and time, see `touch_rows.TouchReader`."""
    sql, parameters = _choose(_READ, needs, share)
    return sql, {**parameters, "signals": tuple(sorted(needs.keeps))}


def count_touchpoints(needs: Needs) -> Question:
    """One row: about how many touchpoints that is, of all customers."""
    return _choose(_COUNT, needs, Share())


def facts(needs: Needs) -> Question:
    """Rows (source, event id, type, when, store, properties as JSON) of the products that somebody wished for."""
    return _FACTS.format(first=_moment(needs.promises_from_ms), until=_moment(needs.window.until_ms)), {}


def count_journeys(window: Window) -> Question:
    """One row: how many journeys had a touchpoint in the window, or went on over it."""
    return _JOURNEYS.format(since=_moment(window.since_ms), until=_moment(window.until_ms)), {}


def _choose(sql: str, needs: Needs, share: Share) -> Question:
    # All versions of a row share customer and time, so both may be judged before FINAL; the type may not.
    times = {
        "first": _moment(needs.promises_from_ms),
        "start": _moment(needs.from_ms),
        "since": _moment(needs.window.since_ms),
        "until": _moment(needs.window.until_ms),
        "lapsing": _moment(needs.window.since_ms - CALENDAR_SLACK_MS),
    }
    customers = ["1" if share.of == 1 else f"cityHash64(customer_id) %% {share.of} = {share.number}"]
    time = "occurred_at BETWEEN {first} AND {until}"
    parameters: dict[str, Any] = {}
    if needs.customers_with:
        customers.append(_HAS_BEGUN)
        parameters["beginnings"] = tuple(sorted(needs.customers_with))
    if needs.promises:
        time += f" AND (occurred_at >= {{start}} OR {_OLDER_PROMISES})"
        parameters["promises"] = tuple(sorted(needs.promises))
    types = "1"
    if needs.types is not None:
        types = "type IN %(types)s"
        parameters["types"] = tuple(sorted(needs.types))
    return sql.format(
        customers=" AND ".join(customers).format(**times), time=time.format(**times), types=types
    ), parameters


def _moment(epoch_ms: int) -> str:
    return f"fromUnixTimestamp64Milli({epoch_ms}, 'UTC')"
