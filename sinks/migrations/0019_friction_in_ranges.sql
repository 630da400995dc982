-- Most of what a range asks of alerts and journeys was to merge versions of all the others. So the rows that any version puts into
-- the range are looked for first, without FINAL, and only they are merged: by PREWHERE on a column of the sorting key, which all
-- versions of a row share, so that the newest of each is there. What the views mean is unchanged.
CREATE OR REPLACE VIEW analytics.episode_places
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
WITH asked AS (
    SELECT customer_id, episode_id, evidence, greatest(opened_at, last_seen_at, resolved_at) AS seen_at FROM journeys.alerts
    WHERE kind = {kind:String} AND opened_at >= {since:DateTime64(3, 'UTC')} AND opened_at < {until:DateTime64(3, 'UTC')}
)
SELECT customer_id, episode_id, opened_at, rule, status, store_id,
       arrayDistinct(arrayFilter(x -> x != '', arrayMap(x -> x.4, arraySort(served)))) AS agents,
       arrayDistinct(arrayMap(x -> x.4, arraySort(came_by))) AS channels,
       arrayDistinct(arrayFilter(x -> x != '', arrayMap(x -> x.4, arraySort(brought)))) AS carriers
FROM (
    SELECT e.customer_id AS customer_id, e.episode_id AS episode_id, any(e.opened_at) AS opened_at, any(e.rule) AS rule,
           any(e.status) AS status, any(e.store_id) AS store_id,
           groupArrayIf((t.occurred_at, t.source, t.event_id, t.agent_id), t.event_id != '') AS served,
           groupArrayIf((t.occurred_at, t.source, t.event_id, t.channel), t.event_id != '') AS came_by,
           groupArrayIf((t.occurred_at, t.source, t.event_id, t.carrier), t.event_id != '') AS brought
    FROM (
        SELECT customer_id, episode_id, opened_at, toString(rule) AS rule, toString(status) AS status,
               toString(store_id) AS store_id, arrayJoin(if(empty(evidence), [''], evidence)) AS id
        FROM journeys.alerts FINAL
        PREWHERE episode_id IN (SELECT episode_id FROM asked)
        WHERE kind = {kind:String} AND opened_at >= {since:DateTime64(3, 'UTC')} AND opened_at < {until:DateTime64(3, 'UTC')}
    ) AS e
    LEFT JOIN (
        SELECT customer_id, occurred_at, toString(source) AS source, event_id, concat(source, '/', event_id) AS id,
               toString(agent_id) AS agent_id, if(channel = '', source, toString(channel)) AS channel,
               JSONExtractString(properties, 'carrier') AS carrier
        FROM (
            SELECT customer_id, occurred_at, source, event_id, agent_id, channel, properties, _is_deleted FROM journeys.touchpoints
            WHERE occurred_at >= {since:DateTime64(3, 'UTC')} - INTERVAL 60 DAY
              AND occurred_at <= (SELECT max(seen_at) FROM asked) + INTERVAL 14 DAY
              AND customer_id IN (SELECT customer_id FROM asked)
              AND event_id IN (SELECT substring(arrayJoin(evidence) AS named, position(named, '/') + 1) FROM asked)
            ORDER BY _version DESC
            LIMIT 1 BY customer_id, occurred_at, source, event_id
        )
        WHERE NOT _is_deleted
    ) AS t ON e.customer_id = t.customer_id AND e.id = t.id
    GROUP BY customer_id, episode_id
)
SETTINGS join_use_nulls = 0
COMMENT 'episode_places(since, until, kind): where episodes that opened in the range happened and who served, as far as their evidence says so. kind:
friction, delight or opportunity. customer_id, episode_id, opened_at, rule, status (withdrawn ones are here too), store_id (first that its evidence
names; empty if none), agents, channels (a source stands in where none was said), carriers (property carrier): each once, in order of time';

CREATE OR REPLACE VIEW analytics.frictions
(
    customer_id    String COMMENT 'resolved customer',
    episode_id     UUID COMMENT 'names the episode',
    journey_id     UUID COMMENT 'journey in which it began',
    rule           String COMMENT 'rule that found it',
    severity       String COMMENT 'info, warning or critical',
    status         String COMMENT 'open or resolved; resolved too when a person said so',
    subject        String COMMENT 'order, queue, contact or topic it is about',
    opened_at      DateTime64(3, 'UTC') COMMENT 'when the rule''s condition became true',
    hour           UInt8 COMMENT 'hour of the day of opened_at, UTC, 0 to 23',
    weekday        UInt8 COMMENT 'day of the week of opened_at, UTC, 1 Monday to 7 Sunday',
    ended_at       Nullable(DateTime64(3, 'UTC')) COMMENT 'when the rule or a person ended it, whichever was first; NULL while open',
    ended_by       String COMMENT 'touchpoint, person, or time (nothing more came); empty while open',
    seconds_to_end Nullable(Float64) COMMENT 'from opened_at to ended_at; NULL while open',
    threshold      Float64 COMMENT 'what the rule allows, in its own unit',
    actual         Float64 COMMENT 'what was found, in the same unit; of an open wait or delay: at least',
    unit           String COMMENT 'what threshold and actual count',
    reason_en      String COMMENT 'why, in English',
    store_id       String COMMENT 'store it happened in: the first that its evidence names; empty if none'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT a.customer_id AS customer_id, a.episode_id AS episode_id, a.journey_id AS journey_id, toString(a.rule) AS rule,
       toString(a.severity) AS severity, a.effective_status AS status, a.subject AS subject,
       a.opened_at AS opened_at, toHour(a.opened_at) AS hour, toDayOfWeek(a.opened_at) AS weekday, a.ended_at AS ended_at,
       multiIf(a.ended_at IS NULL, '', a.is_ended_by_person, 'person', t.event_id != '', 'touchpoint', 'time') AS ended_by,
       dateDiff('millisecond', a.opened_at, a.ended_at) / 1000 AS seconds_to_end, a.threshold AS threshold, a.actual AS actual,
       toString(a.unit) AS unit, a.reason_en AS reason_en, toString(a.store_id) AS store_id
FROM (
    SELECT customer_id, occurred_at, event_id FROM journeys.touchpoints FINAL
) AS t
RIGHT ANY JOIN (
    SELECT *, if(is_ended_by_person, human_resolved_at, resolved_at) AS ended_at,
           human_resolved_at IS NOT NULL AND (resolved_at IS NULL OR human_resolved_at < resolved_at) AS is_ended_by_person,
           ifNull(resolved_at, toDateTime64(0, 3, 'UTC')) AS resolving_at
    FROM analytics.alerts
    WHERE kind = 'friction' AND status != 'withdrawn'
) AS a ON a.customer_id = t.customer_id AND a.resolving_at = t.occurred_at
SETTINGS join_use_nulls = 0
COMMENT 'one row per friction (withdrawn ones left out), with what ended it; quick for a customer. Its agents and channels: see episode_places';

CREATE OR REPLACE VIEW analytics.frictions_between
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
WITH asked AS (
    SELECT episode_id, resolved_at FROM journeys.alerts
    WHERE kind = 'friction' AND opened_at >= {since:DateTime64(3, 'UTC')} AND opened_at < {until:DateTime64(3, 'UTC')}
)
SELECT a.customer_id AS customer_id, a.episode_id AS episode_id, a.journey_id AS journey_id, toString(a.rule) AS rule,
       toString(a.severity) AS severity, a.effective_status AS status, a.subject AS subject,
       a.opened_at AS opened_at, toHour(a.opened_at) AS hour, toDayOfWeek(a.opened_at) AS weekday, a.ended_at AS ended_at,
       multiIf(a.ended_at IS NULL, '', a.is_ended_by_person, 'person', t.event_id != '', 'touchpoint', 'time') AS ended_by,
       dateDiff('millisecond', a.opened_at, a.ended_at) / 1000 AS seconds_to_end, a.threshold AS threshold, a.actual AS actual,
       toString(a.unit) AS unit, a.reason_en AS reason_en, toString(a.store_id) AS store_id
FROM (
    SELECT customer_id, occurred_at, event_id FROM journeys.touchpoints FINAL
    PREWHERE occurred_at IN (SELECT resolved_at FROM asked)
    WHERE occurred_at >= {since:DateTime64(3, 'UTC')} AND occurred_at <= (SELECT max(resolved_at) FROM asked)
) AS t
RIGHT ANY JOIN (
    SELECT f.*, resolved_at AS resolving_at, nullIf(f.resolved_at, toDateTime64(0, 3, 'UTC')) AS ended_by_rule_at,
           if(h.resolution.1 = 'resolve', 'resolved', toString(f.status)) AS effective_status,
           h.resolution.1 = 'resolve' AND (ended_by_rule_at IS NULL OR h.resolution.2 < ended_by_rule_at) AS is_ended_by_person,
           if(is_ended_by_person, h.resolution.2, ended_by_rule_at) AS ended_at
    FROM (
        SELECT * FROM journeys.alerts FINAL
        PREWHERE episode_id IN (SELECT episode_id FROM asked)
        WHERE kind = 'friction' AND status != 'withdrawn' AND opened_at >= {since:DateTime64(3, 'UTC')} AND opened_at < {until:DateTime64(3, 'UTC')}
    ) AS f
    LEFT ANY JOIN (
        SELECT episode_id, argMax((action, acted_at), (acted_at, toString(action_id))) AS resolution FROM journeys.alert_actions FINAL
        WHERE action IN ('resolve', 'reopen') AND episode_id IS NOT NULL GROUP BY episode_id
    ) AS h ON f.episode_id = h.episode_id
) AS a ON a.customer_id = t.customer_id AND a.resolving_at = t.occurred_at
SETTINGS join_use_nulls = 0
COMMENT 'frictions_between(since, until): the rows of analytics.frictions that opened in the range, with its columns, found faster';

CREATE OR REPLACE VIEW analytics.friction_by
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
WITH {dimension:String} AS dimension, dimension IN ('rule', 'severity') AS is_everywhere,
-- A journey that begins or ends in the range has a touchpoint in it; of one that spans it only its touchpoints can tell.
met AS (
    SELECT customer_id, journey_id, started_at < {since:DateTime64(3, 'UTC')} AND ended_at >= {until:DateTime64(3, 'UTC')} AS is_spanning
    FROM journeys.journeys WHERE started_at < {until:DateTime64(3, 'UTC')} AND ended_at >= {since:DateTime64(3, 'UTC')}
)
SELECT e.value AS value, e.episodes AS episodes, e.customers AS customers, e.open AS open, e.resolved AS resolved,
       e.timed_out AS timed_out, if(e.resolved = 0, NULL, e.median_hours) AS median_hours_to_resolve,
       if(e.place = '' AND NOT is_everywhere, NULL, nullIf(j.journeys, 0)) AS journeys,
       1000 * e.episodes / journeys AS episodes_per_1000_journeys
FROM (
    SELECT if(is_everywhere, '', value) AS place, value, count() AS episodes, uniqExact(customer_id) AS customers,
           countIf(status = 'open') AS open, countIf(ended_by IN ('touchpoint', 'person')) AS resolved, countIf(ended_by = 'time') AS timed_out,
           quantileExactInclusiveIf(0.5)(ifNull(seconds_to_end, 0) / 3600, ended_by IN ('touchpoint', 'person')) AS median_hours
    FROM (
        SELECT f.customer_id AS customer_id, f.status AS status, f.ended_by AS ended_by, f.seconds_to_end AS seconds_to_end,
               arrayJoin(multiIf(dimension = 'rule', [f.rule], dimension = 'severity', [f.severity], dimension = 'store', [f.store_id],
                                 dimension = 'hour', [leftPad(toString(f.hour), 2, '0')], dimension = 'weekday', [toString(f.weekday)],
                                 empty(p.places), [''], p.places)) AS value
        FROM analytics.frictions_between(since = {since:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')}) AS f
        LEFT ANY JOIN (
            SELECT customer_id, episode_id, arrayConcat(if(dimension = 'agent', agents, []), if(dimension = 'channel', channels, []),
                       if(dimension = 'carrier', carriers, [])) AS places
            FROM analytics.episode_places(since = {since:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')},
                kind = if({dimension:String} IN ('agent', 'channel', 'carrier'), 'friction', ''))
        ) AS p ON f.customer_id = p.customer_id AND f.episode_id = p.episode_id
        WHERE NOT throwIf(dimension NOT IN ('rule', 'store', 'agent', 'channel', 'carrier', 'hour', 'weekday', 'severity'),
                          'dimension is rule, store, agent, channel, carrier, hour, weekday or severity')
    ) GROUP BY value
) AS e
LEFT ANY JOIN (
    SELECT place, sum(n) AS journeys
    FROM (
        SELECT '' AS place, count() AS n
        FROM journeys.journeys FINAL
        PREWHERE journey_id IN (SELECT journey_id FROM met)
        WHERE is_everywhere AND started_at < {until:DateTime64(3, 'UTC')} AND ended_at >= {since:DateTime64(3, 'UTC')}
          AND NOT (started_at < {since:DateTime64(3, 'UTC')} AND ended_at >= {until:DateTime64(3, 'UTC')})
        GROUP BY place
        UNION ALL
        SELECT t.place AS place, uniqExact(j.journey_id) AS n
        FROM (
            SELECT customer_id, occurred_at,
                   -- Each by itself: of a choice among several all columns are read.
                   concat(if(dimension = 'store', toString(store_id), ''), if(dimension = 'agent', toString(agent_id), ''),
                       if(dimension = 'channel', if(channel = '', toString(source), toString(channel)), ''),
                       if(dimension = 'carrier', JSONExtractString(properties, 'carrier'), ''),
                       if(dimension = 'hour', leftPad(toString(toHour(occurred_at)), 2, '0'), ''),
                       if(dimension = 'weekday', toString(toDayOfWeek(occurred_at)), '')) AS place
            FROM journeys.touchpoints FINAL
            PREWHERE NOT is_everywhere OR customer_id IN (SELECT customer_id FROM met WHERE is_spanning)
            WHERE occurred_at >= {since:DateTime64(3, 'UTC')} AND occurred_at < {until:DateTime64(3, 'UTC')} AND NOT late
              AND (place != '' OR is_everywhere)
        ) AS t
        ASOF JOIN (
            SELECT customer_id, journey_id, started_at, ended_at FROM journeys.journeys FINAL
            PREWHERE journey_id IN (SELECT journey_id FROM met WHERE NOT is_everywhere OR is_spanning)
            WHERE started_at < {until:DateTime64(3, 'UTC')} AND ended_at >= {since:DateTime64(3, 'UTC')}
              AND (NOT is_everywhere OR started_at < {since:DateTime64(3, 'UTC')} AND ended_at >= {until:DateTime64(3, 'UTC')})
        ) AS j ON t.customer_id = j.customer_id AND t.occurred_at >= j.started_at
        WHERE t.occurred_at <= j.ended_at
        GROUP BY place
    )
    GROUP BY place
) AS j ON e.place = j.place
SETTINGS join_use_nulls = 0
COMMENT 'parameters since, until, dimension: frictions that opened then, by value of the dimension; journeys: with a touchpoint there and then';

CREATE OR REPLACE VIEW analytics.silent_customers
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
WITH {until:DateTime64(3, 'UTC')} - toIntervalDay({quiet_days:UInt16}) AS quiet_since,
-- Whoever did something last in the 60 days before did it in a journey of that time.
asked AS (
    SELECT customer_id, episode_id FROM journeys.alerts
    WHERE kind = 'friction' AND opened_at < {until:DateTime64(3, 'UTC')} AND journey_id IN (
        SELECT journey_id FROM journeys.journeys WHERE started_at <= quiet_since AND ended_at >= quiet_since - INTERVAL 60 DAY)
),
troubled AS (
    SELECT customer_id, journey_id, groupUniqArray(toString(rule)) AS rules, count() AS episodes FROM journeys.alerts FINAL
    PREWHERE episode_id IN (SELECT episode_id FROM asked)
    WHERE kind = 'friction' AND status != 'withdrawn' AND opened_at < {until:DateTime64(3, 'UTC')}
    GROUP BY customer_id, journey_id
)
SELECT s.customer_id AS customer_id, s.last_at AS last_seen_at,
       dateDiff('millisecond', last_seen_at, {until:DateTime64(3, 'UTC')}) / 86400000 AS days_silent, s.last.4 AS last_type,
       f.journey_id AS journey_id, arraySort(f.rules) AS friction_rules, f.episodes AS friction_episodes, j.orders AS orders_before
FROM (
    SELECT customer_id, max(occurred_at) AS last_at,
           arrayMax(arrayFilter(x -> x.1 = last_at, groupArray((occurred_at, toString(source), event_id, toString(type))))) AS last
    FROM journeys.touchpoints FINAL
    PREWHERE customer_id IN (SELECT customer_id FROM asked)
    WHERE occurred_at >= quiet_since - INTERVAL 60 DAY AND occurred_at < {until:DateTime64(3, 'UTC')}
      AND NOT late AND source != 'messaging'
      AND type NOT IN (
          'notification_sent', 'notification_failed', 'gift_given', 'customers_merged', 'delivery_promised', 'dispatched',
          'delivery_delayed', 'out_for_delivery', 'delivery_failed', 'delivered', 'ready_for_pickup', 'parcel_returned',
          'refund_promised', 'refund_issued', 'callback_promised', 'callback_made', 'complaint_resolved', 'hold_expired') GROUP BY customer_id
    HAVING last_at <= quiet_since
) AS s
INNER JOIN (
    SELECT customer_id, groupArray((started_at, ended_at, journey_id)) AS lived, sum(orders) AS orders FROM journeys.journeys FINAL
    PREWHERE customer_id IN (SELECT customer_id FROM asked)
    WHERE started_at < {until:DateTime64(3, 'UTC')} GROUP BY customer_id
) AS j ON s.customer_id = j.customer_id
INNER JOIN troubled AS f
    ON s.customer_id = f.customer_id AND arrayFirst(x -> x.1 <= s.last_at AND x.2 >= s.last_at, j.lived).3 = f.journey_id
SETTINGS join_use_nulls = 0
COMMENT 'parameters until, quiet_days: customers who did nothing in the last quiet_days before until, but in the 60 days before those, last in a journey
with friction; orders_before are those of all their journeys begun before until';

CREATE OR REPLACE VIEW analytics.friction_cost
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
WITH (SELECT max(ended_at) FROM journeys.journeys) AS known_until,
asked AS (
    SELECT customer_id, journey_id, started_at, ended_at, orders FROM journeys.journeys
    WHERE started_at >= {since:DateTime64(3, 'UTC')} AND started_at < {until:DateTime64(3, 'UTC')}
),
lived AS (
    SELECT b.journey_id AS journey_id, b.bought AS bought, t.first_source AS first_source,
           arrayFilter(x -> NOT x.2 AND x.1 >= b.started_at AND x.1 <= b.ended_at, o.orders) AS own,
           if(empty(own), NULL, arrayMin(x -> x.1, own)) AS first_order_at,
           arrayDistinct(arrayMap(x -> x.4, own)) AS currencies, arraySum(x -> x.3, own) AS amount,
           if(first_order_at + INTERVAL 30 DAY <= known_until,
              arrayCount(x -> x.1 >= first_order_at AND x.1 <= first_order_at + INTERVAL 30 DAY, o.orders) > 1, NULL) AS repeated,
           f.rules AS rules
    FROM (
        SELECT customer_id, journey_id, started_at, ended_at, toUInt8(orders > 0) AS bought FROM journeys.journeys FINAL
        PREWHERE journey_id IN (SELECT journey_id FROM asked)
        WHERE started_at >= {since:DateTime64(3, 'UTC')} AND started_at < {until:DateTime64(3, 'UTC')}
    ) AS b
    INNER JOIN (
        SELECT customer_id, occurred_at, min(toString(source)) AS first_source FROM journeys.touchpoints FINAL
        PREWHERE occurred_at IN (SELECT started_at FROM asked)
        WHERE occurred_at >= {since:DateTime64(3, 'UTC')} AND occurred_at < {until:DateTime64(3, 'UTC')} AND NOT late GROUP BY customer_id, occurred_at
    ) AS t ON b.customer_id = t.customer_id AND b.started_at = t.occurred_at
    LEFT ANY JOIN (
        SELECT customer_id,
               groupArray((occurred_at, late, JSONExtractFloat(properties, 'amount'), JSONExtractString(properties, 'currency'))) AS orders
        FROM journeys.touchpoints FINAL
        WHERE type IN ('order_placed', 'purchased') AND occurred_at >= {since:DateTime64(3, 'UTC')}
          AND occurred_at <= (SELECT max(ended_at) FROM asked) + INTERVAL 30 DAY
          AND customer_id IN (SELECT customer_id FROM asked WHERE orders > 0) GROUP BY customer_id
    ) AS o ON b.customer_id = o.customer_id
    LEFT ANY JOIN (
        SELECT journey_id, groupUniqArray(toString(rule)) AS rules FROM journeys.alerts FINAL
        PREWHERE customer_id IN (SELECT customer_id FROM asked)
        WHERE kind = 'friction' AND status != 'withdrawn' GROUP BY journey_id
    ) AS f ON b.journey_id = f.journey_id
),
-- Each journey under its rules, or under '' if it is clean, and once more under '*', so that all is counted in one go.
counted AS (
    SELECT arrayJoin(arrayPushBack(if(empty(rules), [''], rules), '*')) AS rule, first_source, count() AS n, sum(bought) AS bought_n,
           sumMapIf(currencies, [toUInt64(1)], length(currencies) = 1) AS paid_n, sumMapIf(currencies, [amount], length(currencies) = 1) AS paid,
           count(repeated) AS repeated_n, sum(repeated) AS repeated_sum
    FROM lived GROUP BY rule, first_source
),
told AS (
    SELECT *, sumMapIf(paid_n.1, paid_n.2, rule = '*') OVER () AS all_paid_n,
           arraySort((name, journeys) -> (-toInt64(journeys), name), all_paid_n.1, all_paid_n.2)[1] AS currency,
           paid_n.2[indexOf(paid_n.1, currency)] AS amount_n, paid.2[indexOf(paid.1, currency)] AS amount_sum
    FROM counted
),
paired AS (
    SELECT rule, currency, n, bought_n, amount_n, amount_sum, repeated_n, repeated_sum,
           sumIf(n, rule = '') OVER of_source AS clean_n, sumIf(bought_n, rule = '') OVER of_source AS clean_bought_n,
           sumIf(amount_n, rule = '') OVER of_source AS clean_amount_n, sumIf(amount_sum, rule = '') OVER of_source AS clean_amount_sum,
           sumIf(repeated_n, rule = '') OVER of_source AS clean_repeated_n,
           sumIf(ifNull(repeated_sum, 0), rule = '') OVER of_source AS clean_repeated_sum
    FROM told
    WINDOW of_source AS (PARTITION BY first_source)
)
SELECT rule, sum(n) AS journeys, sumIf(n, clean_n > 0) AS compared, sumIf(clean_n, clean_n > 0) AS clean,
       sumIf(bought_n, clean_n > 0) / nullIf(compared, 0) AS conversion_share,
       sumIf(n * clean_bought_n / clean_n, clean_n > 0) / nullIf(compared, 0) AS clean_conversion_share,
       conversion_share - clean_conversion_share AS conversion_difference,
       sumIf(amount_n, clean_amount_n > 0) AS amounts, sumIf(clean_amount_n, amount_n > 0) AS clean_amounts,
       sumIf(amount_sum, amount_n > 0 AND clean_amount_n > 0) / nullIf(amounts, 0) AS mean_amount,
       sumIf(amount_n * clean_amount_sum / clean_amount_n, amount_n > 0 AND clean_amount_n > 0) / nullIf(amounts, 0) AS clean_mean_amount,
       mean_amount - clean_mean_amount AS amount_difference, any(currency) AS currency,
       sumIf(repeated_n, clean_repeated_n > 0) AS watched, sumIf(clean_repeated_n, repeated_n > 0) AS clean_watched,
       sumIf(repeated_sum, repeated_n > 0 AND clean_repeated_n > 0) / nullIf(watched, 0) AS repeat_share,
       sumIf(repeated_n * clean_repeated_sum / clean_repeated_n, repeated_n > 0 AND clean_repeated_n > 0) / nullIf(watched, 0) AS clean_repeat_share,
       repeat_share - clean_repeat_share AS repeat_difference
FROM paired
WHERE rule NOT IN ('', '*')
GROUP BY rule
SETTINGS join_use_nulls = 0
COMMENT 'parameters since, until: per rule, journeys begun then that had it against clean ones of the same first source: orders, amount, repeat in 30 days';

CREATE OR REPLACE VIEW analytics.recovery
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
WITH (SELECT max(ended_at) FROM journeys.journeys) AS known_until,
concerned AS (
    SELECT customer_id, journey_id FROM journeys.alerts
    WHERE kind = 'friction' AND opened_at >= {since:DateTime64(3, 'UTC')} AND opened_at < {until:DateTime64(3, 'UTC')}
),
lived AS (
    SELECT f.rule AS rule,
           multiIf(f.opened_at + INTERVAL 7 DAY > known_until, 'not_yet', is_ended AND is_delighted, 'both',
                   is_ended, 'ended', is_delighted, 'delighted', 'none') AS recovery,
           ifNull(f.ended_by IN ('touchpoint', 'person') AND f.ended_at <= f.opened_at + INTERVAL 7 DAY, 0) AS is_ended,
           arrayExists(x -> x > f.opened_at AND x <= f.opened_at + INTERVAL 7 DAY, d.delighted_at) AS is_delighted,
           if(j.status = 'closed', j.outcome IN ('converted', 'resolved'), NULL) AS ended_well,
           if(f.opened_at + INTERVAL 30 DAY <= known_until,
              arrayExists(x -> x > f.opened_at + INTERVAL 7 DAY AND x <= f.opened_at + INTERVAL 30 DAY, o.ordered_at), NULL) AS bought_later
    FROM analytics.frictions_between(since = {since:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')}) AS f
    LEFT ANY JOIN (
        SELECT customer_id, groupArray(opened_at) AS delighted_at FROM journeys.alerts FINAL
        PREWHERE customer_id IN (SELECT customer_id FROM concerned)
        WHERE kind = 'delight' AND status != 'withdrawn' GROUP BY customer_id
    ) AS d ON f.customer_id = d.customer_id
    LEFT ANY JOIN (
        SELECT customer_id, groupArray(occurred_at) AS ordered_at FROM journeys.touchpoints FINAL
        WHERE type IN ('order_placed', 'purchased') AND customer_id IN (SELECT customer_id FROM concerned)
          AND occurred_at > {since:DateTime64(3, 'UTC')} AND occurred_at <= {until:DateTime64(3, 'UTC')} + INTERVAL 30 DAY GROUP BY customer_id
    ) AS o ON f.customer_id = o.customer_id
    LEFT ANY JOIN (
        SELECT journey_id, toString(status) AS status, outcome FROM journeys.journeys FINAL
        PREWHERE journey_id IN (SELECT journey_id FROM concerned)
    ) AS j ON f.journey_id = j.journey_id
)
SELECT rule, recovery, count() AS episodes,
       nullIf(sum(if(recovery = 'not_yet', 0, episodes)) OVER (PARTITION BY rule), 0) AS known_episodes,
       if(recovery = 'not_yet', NULL, episodes / known_episodes) AS share,
       count(ended_well) AS closed, sum(ended_well) AS well, well / nullIf(closed, 0) AS well_share,
       count(bought_later) AS watched, sum(bought_later) AS bought, bought / nullIf(watched, 0) AS bought_share
FROM lived
GROUP BY rule, recovery
SETTINGS join_use_nulls = 0
COMMENT 'parameters since, until: frictions that opened then, by rule and what followed in 7 days: ended, delighted, both, none, not_yet';

CREATE OR REPLACE VIEW analytics.delight_opportunities
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
WITH (SELECT max(ended_at) FROM journeys.journeys) AS known_until,
concerned AS (
    SELECT customer_id, opened_at, evidence FROM journeys.alerts
    WHERE kind = 'opportunity' AND opened_at >= {since:DateTime64(3, 'UTC')} AND opened_at < {until:DateTime64(3, 'UTC')}
)
SELECT a.customer_id AS customer_id, a.episode_id AS episode_id, a.journey_id AS journey_id, a.opened_at AS opened_at,
       h.type AS type, h.store_id AS store_id, h.channel AS channel,
       arraySort(arrayDistinct(arrayMap(x -> x.3, arrayFilter(
           x -> x.1 = 'friction' AND x.2 < a.opened_at AND x.2 >= a.opened_at - INTERVAL 7 DAY, e.episodes)))) AS frictions_before,
       a.acknowledged_by AS acknowledged_by, a.acknowledged_at AS acknowledged_at,
       if(a.day_after <= known_until, arrayExists(x -> x.1 = 'gift_given' AND x.2 >= a.opened_at AND x.2 <= a.day_after, t.acts), NULL) AS got_gift_in_1_day,
       if(a.day_after <= known_until, arrayExists(x -> x.1 != 'gift_given' AND x.2 >= a.opened_at AND x.2 <= a.day_after, t.acts), NULL) AS bought_in_1_day,
       if(a.week_after <= known_until, arrayExists(x -> x.1 = 'delight' AND x.2 > a.opened_at AND x.2 <= a.week_after, e.episodes), NULL)
           AS delighted_in_7_days,
       if(a.week_after <= known_until, arrayExists(x -> x.1 = 'friction' AND x.2 > a.opened_at AND x.2 <= a.week_after, e.episodes), NULL) AS friction_in_7_days
FROM (
    SELECT *, opened_at + INTERVAL 1 DAY AS day_after, opened_at + INTERVAL 7 DAY AS week_after FROM analytics.alerts
    WHERE kind = 'opportunity' AND status != 'withdrawn'
      AND opened_at >= {since:DateTime64(3, 'UTC')} AND opened_at < {until:DateTime64(3, 'UTC')}
) AS a
LEFT ANY JOIN (
    -- The alert names the store of the trouble; where the customer is now, the touchpoint says that it opened with.
    SELECT customer_id, occurred_at, toString(type) AS type, toString(store_id) AS store_id,
           if(channel = '', toString(source), toString(channel)) AS channel
    FROM journeys.touchpoints FINAL
    PREWHERE occurred_at IN (SELECT opened_at FROM concerned)
    WHERE occurred_at >= {since:DateTime64(3, 'UTC')} AND occurred_at < {until:DateTime64(3, 'UTC')}
      AND (customer_id, concat(source, '/', event_id)) IN (SELECT customer_id, arrayJoin(evidence) FROM concerned)
) AS h ON a.customer_id = h.customer_id AND a.opened_at = h.occurred_at
LEFT ANY JOIN (
    SELECT customer_id, groupArray((toString(kind), opened_at, toString(rule))) AS episodes FROM journeys.alerts FINAL
    PREWHERE customer_id IN (SELECT customer_id FROM concerned)
    WHERE kind IN ('friction', 'delight') AND status != 'withdrawn' GROUP BY customer_id
) AS e ON a.customer_id = e.customer_id
LEFT ANY JOIN (
    SELECT customer_id, groupArray((toString(type), occurred_at)) AS acts FROM journeys.touchpoints FINAL
    WHERE type IN ('gift_given', 'order_placed', 'purchased') AND customer_id IN (SELECT customer_id FROM concerned)
      AND occurred_at >= {since:DateTime64(3, 'UTC')} AND occurred_at < {until:DateTime64(3, 'UTC')} + INTERVAL 1 DAY GROUP BY customer_id
) AS t ON a.customer_id = t.customer_id
SETTINGS join_use_nulls = 0
COMMENT 'parameters since, until: one row per opportunity that opened then, and what came of it; NULL where its time has not passed';
