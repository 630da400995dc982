"""The questions of a report to the views of analysts; `%(store)s` is empty where all stores are meant."""

from __future__ import annotations

_OPENED = """opened_at >= toDateTime64(%(since)s, 3, 'UTC') AND opened_at < toDateTime64(%(until)s, 3, 'UTC')
  AND (%(store)s = '' OR store_id = %(store)s)"""
_IN_STORE = """(%(store)s = '' OR journey_id IN
       (SELECT journey_id FROM analytics.touchpoints WHERE store_id = %(store)s))"""

_OCCURRED = """occurred_at >= toDateTime64(%(since)s, 3, 'UTC') AND occurred_at < toDateTime64(%(until)s, 3, 'UTC')
  AND (%(store)s = '' OR store_id = %(store)s)"""

TITLES = """SELECT toString(rule), argMax(toString(title_{language}), detected_at)
FROM analytics.alerts GROUP BY rule"""

TOUCHPOINTS = f"""SELECT count(), uniqExactIf(journey_id, journey_id != toUUID('00000000-0000-0000-0000-000000000000'))
FROM analytics.touchpoints WHERE {_OCCURRED}"""

JOURNEYS = f"""SELECT count(), uniqExact(customer_id),
       countIf(arrayExists((type, moment) -> type IN ('order_placed', 'purchased')
                                             AND moment < toDateTime64(%(until)s, 3, 'UTC'), types, moments)),
       avg(experience), stddevSamp(experience), count(experience), avg(effort), stddevSamp(effort)
FROM analytics.journey_paths(since = %(since)s, until = %(until)s)
WHERE {_IN_STORE}"""

JOURNEYS_BY_DAY = f"""SELECT toDate(started_at, %(zone)s) AS day, count()
FROM analytics.journeys
WHERE started_at >= toDateTime64(%(since)s, 3, 'UTC') AND started_at < toDateTime64(%(until)s, 3, 'UTC')
  AND {_IN_STORE}
GROUP BY day ORDER BY day"""

_FRICTIONS = "analytics.frictions_between(since = %(since)s, until = %(until)s)"
_RULES = f"""SELECT rule, count() AS episodes, uniqExact(customer_id),
       arrayDistinct(arrayMap(pair -> pair.2, groupArraySorted(3)((-toUnixTimestamp64Milli(opened_at), journey_id))))
FROM {{table}} WHERE {_OPENED}
GROUP BY rule ORDER BY episodes DESC, rule"""
FRICTIONS = _RULES.format(table=_FRICTIONS)
DELIGHTS = _RULES.format(table="analytics.delights")

# A promise can break while the customer does nothing, so not only the active ones are asked about.
CUSTOMERS_HIT = f"""SELECT uniqExactIf(customer_id, is_hit), uniqExact(customer_id)
FROM
(
    SELECT customer_id, true AS is_hit FROM {_FRICTIONS} WHERE {_OPENED}
    UNION ALL
    SELECT customer_id, false FROM analytics.touchpoints WHERE {_OCCURRED}
)"""

FRICTIONS_BY_DAY = f"""SELECT toDate(opened_at, %(zone)s) AS day, count()
FROM {_FRICTIONS} WHERE {_OPENED} GROUP BY day ORDER BY day"""

FRICTIONS_BY_HOUR = f"""SELECT toDayOfWeek(opened_at, 0, %(zone)s) AS weekday, toHour(opened_at, %(zone)s) AS hour,
       count()
FROM {_FRICTIONS} WHERE {_OPENED} GROUP BY weekday, hour ORDER BY weekday, hour"""

FRICTIONS_BY_STORE = """SELECT value, episodes, journeys
FROM analytics.friction_by(since = %(since)s, until = %(until)s, dimension = 'store')
WHERE value != '' AND (%(store)s = '' OR value = %(store)s)
ORDER BY episodes DESC, value"""

PROMISES = f"""SELECT toString(kind), countIf(status = 'kept') AS kept, countIf(status = 'late') AS late,
       countIf(status = 'broken') AS broken, countIf(status = 'open')
FROM analytics.promises
WHERE latest_promised_at >= toDateTime64(%(since)s, 3, 'UTC')
  AND latest_promised_at < toDateTime64(%(until)s, 3, 'UTC') AND status != 'withdrawn' AND {_IN_STORE}
GROUP BY kind ORDER BY kept + late + broken DESC, kind"""

ON_TIME = """SELECT sum(t.in_full_orders_first), sum(t.orders)
FROM analytics.on_time(since = %(since)s, until = %(until)s, period = 'week') AS t"""

REPEATS = """SELECT topic, contacts, repeats
FROM analytics.repeat_contacts(since = %(since)s, until = %(until)s, window_days = %(window)s)
ORDER BY repeats DESC, contacts DESC, topic"""

SOLVED = """SELECT sum(t.solved_contacts), sum(t.first_contacts)
FROM analytics.first_contact_resolution(since = %(since)s, until = %(until)s, window_days = %(window)s) AS t"""

WISMO = """SELECT sum(t.wismo_contacts), sum(t.contacts)
FROM analytics.wismo(since = %(since)s, until = %(until)s) AS t"""

WAITS = """SELECT kind, channel, count(seconds) AS answered, countIf(seconds IS NULL),
       if(answered = 0, NULL, quantileExactInclusiveIf(0.5)(assumeNotNull(seconds), seconds IS NOT NULL)),
       if(answered = 0, NULL, quantileExactInclusiveIf(0.95)(assumeNotNull(seconds), seconds IS NOT NULL))
FROM analytics.waits_between(since = %(since)s, until = %(until)s)
WHERE kind != 'contact' AND (%(store)s = '' OR store_id = %(store)s)
GROUP BY kind, channel ORDER BY kind DESC, answered DESC, channel"""

COMPLAINTS = """WITH toDateTime64(%(since)s, 3, 'UTC') AS since, toDateTime64(%(until)s, 3, 'UTC') AS until
SELECT countIf(opened_at >= since AND opened_at < until),
       countIf(resolved_at >= since AND resolved_at < until) AS settled,
       countIf(opened_at < until AND (resolved_at IS NULL OR resolved_at >= until)),
       if(settled = 0, NULL, quantileExactInclusiveIf(0.5)(assumeNotNull(hours_to_resolve),
          resolved_at >= since AND resolved_at < until AND hours_to_resolve IS NOT NULL))
FROM analytics.complaints WHERE %(store)s = '' OR store_id = %(store)s"""

SURVEYS = """SELECT toString(metric), sum(t.answers), sum(t.good_answers), sum(t.bad_answers)
FROM analytics.surveys(since = %(since)s, until = %(until)s) AS t
GROUP BY metric ORDER BY metric"""

RECOVERED = """SELECT sumIf(t.episodes, recovery NOT IN ('none', 'not_yet')), sumIf(t.episodes, recovery != 'not_yet')
FROM analytics.recovery(since = %(since)s, until = %(until)s) AS t"""

SILENT = """SELECT customer_id, toDate(last_seen_at, %(zone)s), friction_rules
FROM analytics.silent_customers(until = %(until)s, quiet_days = %(quiet)s)
ORDER BY orders_before DESC, last_seen_at, customer_id LIMIT %(shown)s"""

SILENT_COUNT = "SELECT count() FROM analytics.silent_customers(until = %(until)s, quiet_days = %(quiet)s)"
