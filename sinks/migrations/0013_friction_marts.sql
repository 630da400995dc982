CREATE OR REPLACE VIEW analytics.episode_places
(
    customer_id String COMMENT 'resolved customer',
    episode_id  UUID COMMENT 'names the episode',
    opened_at   DateTime64(3, 'UTC') COMMENT 'when the rule''s condition became true',
    store_id    String COMMENT 'store that the episode names, else the first that its evidence names; empty if none',
    agents      Array(String) COMMENT 'who served in the touchpoints of its evidence, each once, in order of time',
    channels    Array(String) COMMENT 'channels of its evidence, each once, in order of time; a source stands in where none was said',
    carriers    Array(String) COMMENT 'property carrier of its evidence, each once, in order of time; empty where sources do not send it'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT customer_id, episode_id, opened_at,
       if(named_store != '', named_store, arrayFirst(x -> x != '', arrayMap(x -> x.4, told))) AS store_id,
       arrayDistinct(arrayFilter(x -> x != '', arrayMap(x -> x.5, told))) AS agents,
       arrayDistinct(arrayMap(x -> x.6, told)) AS channels,
       arrayDistinct(arrayFilter(x -> x != '', arrayMap(x -> x.7, told))) AS carriers
FROM (
    SELECT e.customer_id AS customer_id, e.episode_id AS episode_id, e.opened_at AS opened_at, any(e.store_id) AS named_store,
           arraySort(groupArrayIf((t.occurred_at, t.source, t.event_id, t.store_id, t.agent_id, t.channel, t.carrier), t.event_id != ''))
               AS told
    FROM (
        SELECT customer_id, episode_id, opened_at, toString(store_id) AS store_id,
               arrayJoin(if(empty(evidence), [''], evidence)) AS id
        FROM journeys.alerts FINAL
        WHERE kind != 'source'
    ) AS e
    LEFT ANY JOIN (
        SELECT customer_id, occurred_at, toString(source) AS source, event_id, concat(source, '/', event_id) AS id,
               toString(store_id) AS store_id, toString(agent_id) AS agent_id,
               if(channel = '', toString(source), toString(channel)) AS channel, JSONExtractString(properties, 'carrier') AS carrier
        FROM journeys.touchpoints FINAL
        WHERE customer_id IN (SELECT customer_id FROM journeys.alerts)
          AND (customer_id, id) IN (SELECT customer_id, arrayJoin(evidence) FROM journeys.alerts)
    ) AS t ON e.customer_id = t.customer_id AND e.id = t.id
    GROUP BY customer_id, episode_id, opened_at
)
SETTINGS join_use_nulls = 0
COMMENT 'where an episode of a customer happened and who served, as far as the touchpoints of its evidence say so; one row per episode';

CREATE OR REPLACE VIEW analytics.delights
(
    customer_id String COMMENT 'resolved customer',
    episode_id  UUID COMMENT 'names the episode',
    journey_id  UUID COMMENT 'journey in which it happened',
    rule        String COMMENT 'rule that found it',
    opened_at   DateTime64(3, 'UTC') COMMENT 'when it happened',
    hour        UInt8 COMMENT 'hour of the day of opened_at, UTC, 0 to 23',
    weekday     UInt8 COMMENT 'day of the week of opened_at, UTC, 1 Monday to 7 Sunday',
    reason_en   String COMMENT 'why, in English',
    store_id    String COMMENT 'store it happened in; empty if none is known',
    agents      Array(String) COMMENT 'who served, from its evidence',
    channels    Array(String) COMMENT 'channels of its evidence; a source stands in where none was said',
    carriers    Array(String) COMMENT 'property carrier of its evidence; empty where sources do not send it'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT a.customer_id AS customer_id, a.episode_id AS episode_id, a.journey_id AS journey_id, a.rule AS rule,
       a.opened_at AS opened_at, toHour(a.opened_at) AS hour, toDayOfWeek(a.opened_at) AS weekday,
       a.reason_en AS reason_en, p.store_id AS store_id, p.agents AS agents, p.channels AS channels, p.carriers AS carriers
FROM analytics.alerts AS a
LEFT ANY JOIN analytics.episode_places AS p
    ON a.customer_id = p.customer_id AND a.episode_id = p.episode_id AND a.opened_at = p.opened_at
WHERE a.kind = 'delight' AND a.status != 'withdrawn'
SETTINGS join_use_nulls = 0
COMMENT 'one row per delight (alerts of kind delight, withdrawn ones left out), with when, where and by whom';

-- Many rules end an episode because time has passed with nothing more of it. To a customer that is no solution, and its
-- duration is the rule's, so it is told apart: an end at the moment of a touchpoint came from that one.
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
    store_id       String COMMENT 'store it happened in; empty if none is known',
    agents         Array(String) COMMENT 'who served, from its evidence',
    channels       Array(String) COMMENT 'channels of its evidence; a source stands in where none was said',
    carriers       Array(String) COMMENT 'property carrier of its evidence; empty where sources do not send it'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT a.customer_id AS customer_id, a.episode_id AS episode_id, a.journey_id AS journey_id, a.rule AS rule,
       a.severity AS severity, a.effective_status AS status, a.subject AS subject,
       a.opened_at AS opened_at, toHour(a.opened_at) AS hour, toDayOfWeek(a.opened_at) AS weekday, a.ended_at AS ended_at,
       multiIf(a.ended_at IS NULL, '', a.is_ended_by_person, 'person', t.customer_id != '', 'touchpoint', 'time') AS ended_by,
       dateDiff('millisecond', a.opened_at, a.ended_at) / 1000 AS seconds_to_end,
       a.threshold AS threshold, a.actual AS actual, a.unit AS unit, a.reason_en AS reason_en,
       p.store_id AS store_id, p.agents AS agents, p.channels AS channels, p.carriers AS carriers
FROM (
    SELECT *, if(is_ended_by_person, human_resolved_at, resolved_at) AS ended_at,
           human_resolved_at IS NOT NULL AND (resolved_at IS NULL OR human_resolved_at < resolved_at) AS is_ended_by_person,
           ifNull(resolved_at, toDateTime64(0, 3, 'UTC')) AS resolving_at
    FROM analytics.alerts
    WHERE kind = 'friction' AND status != 'withdrawn'
) AS a
LEFT ANY JOIN analytics.episode_places AS p
    ON a.customer_id = p.customer_id AND a.episode_id = p.episode_id AND a.opened_at = p.opened_at
LEFT ANY JOIN (
    SELECT customer_id, occurred_at FROM journeys.touchpoints FINAL
    WHERE (customer_id, occurred_at) IN (SELECT customer_id, resolved_at FROM journeys.alerts)
) AS t ON a.customer_id = t.customer_id AND a.resolving_at = t.occurred_at
SETTINGS join_use_nulls = 0
COMMENT 'one row per friction (alerts of kind friction, withdrawn ones left out), with when, where, by whom, and what ended it';

CREATE OR REPLACE VIEW analytics.friction_by
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT e.value AS value, e.episodes AS episodes, e.customers AS customers, e.open AS open, e.resolved AS resolved,
       e.timed_out AS timed_out, if(e.resolved = 0, NULL, e.median_hours) AS median_hours_to_resolve,
       if(e.place = '' AND {dimension:String} NOT IN ('rule', 'severity'), NULL, nullIf(j.journeys, 0)) AS journeys,
       1000 * e.episodes / journeys AS episodes_per_1000_journeys
FROM (
    SELECT if({dimension:String} IN ('rule', 'severity'), '', value) AS place, value,
           count() AS episodes, uniqExact(customer_id) AS customers, countIf(status = 'open') AS open,
           countIf(ended_by IN ('touchpoint', 'person')) AS resolved, countIf(ended_by = 'time') AS timed_out,
           quantileExactInclusiveIf(0.5)(ifNull(seconds_to_end, 0) / 3600, ended_by IN ('touchpoint', 'person')) AS median_hours
    FROM (
        SELECT customer_id, status, ended_by, seconds_to_end,
               arrayJoin(multiIf({dimension:String} = 'rule', [rule], {dimension:String} = 'severity', [severity],
                                 {dimension:String} = 'store', [store_id],
                                 {dimension:String} = 'agent', if(empty(agents), [''], agents),
                                 {dimension:String} = 'channel', if(empty(channels), [''], channels),
                                 {dimension:String} = 'carrier', if(empty(carriers), [''], carriers),
                                 {dimension:String} = 'hour', [leftPad(toString(hour), 2, '0')], [toString(weekday)])) AS value
        FROM analytics.frictions
        WHERE opened_at >= {since:DateTime64(3, 'UTC')} AND opened_at < {until:DateTime64(3, 'UTC')}
          AND customer_id IN (SELECT customer_id FROM journeys.alerts
                              WHERE opened_at >= {since:DateTime64(3, 'UTC')} AND opened_at < {until:DateTime64(3, 'UTC')})
          AND NOT throwIf({dimension:String} NOT IN ('rule', 'store', 'agent', 'channel', 'carrier', 'hour', 'weekday', 'severity'),
                          'dimension is rule, store, agent, channel, carrier, hour, weekday or severity')
    )
    GROUP BY value
) AS e
LEFT ANY JOIN (
    SELECT multiIf({dimension:String} IN ('rule', 'severity'), '', {dimension:String} = 'store', toString(store_id),
                   {dimension:String} = 'agent', toString(agent_id),
                   {dimension:String} = 'channel', if(channel = '', toString(source), toString(channel)),
                   {dimension:String} = 'carrier', JSONExtractString(properties, 'carrier'),
                   {dimension:String} = 'hour', leftPad(toString(toHour(occurred_at)), 2, '0'),
                   toString(toDayOfWeek(occurred_at))) AS place,
           uniqExact(journey_id) AS journeys
    FROM analytics.touchpoints
    WHERE occurred_at >= {since:DateTime64(3, 'UTC')} AND occurred_at < {until:DateTime64(3, 'UTC')}
      AND journey_id != toUUID('00000000-0000-0000-0000-000000000000')
    GROUP BY place
) AS j ON e.place = j.place
SETTINGS join_use_nulls = 0
COMMENT 'parameters since, until, dimension: frictions that opened then, by value of the dimension; journeys: with a touchpoint there and then';

-- Sources differ in who comes through them and in how often that ends in an order, so each rule's journeys are compared with
-- clean ones of the same first source: the clean side is an average over sources, weighted by the journeys with the rule.
CREATE OR REPLACE VIEW analytics.friction_cost
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
WITH (SELECT max(ended_at) FROM analytics.journeys) AS known_until,
begun AS (
    SELECT customer_id, journey_id, toUInt8(orders > 0) AS bought FROM analytics.journeys
    WHERE started_at >= {since:DateTime64(3, 'UTC')} AND started_at < {until:DateTime64(3, 'UTC')}
),
told AS (
    SELECT journey_id, toString(argMin(source, (occurred_at, source, event_id))) AS first_source,
           minOrNullIf(occurred_at, is_order) AS first_order_at,
           sumIf(amount, is_order) AS amount, groupUniqArrayIf(currency, is_order) AS currencies
    FROM (
        SELECT journey_id, occurred_at, source, event_id, type IN ('order_placed', 'purchased') AS is_order,
               JSONExtractFloat(properties, 'amount') AS amount, JSONExtractString(properties, 'currency') AS currency
        FROM analytics.touchpoints
        WHERE customer_id IN (SELECT customer_id FROM begun) AND journey_id IN (SELECT journey_id FROM begun)
    )
    GROUP BY journey_id
),
main AS (SELECT topK(1)(currencies[1]) AS currency FROM told WHERE length(currencies) = 1),
lived AS (
    SELECT b.journey_id AS journey_id, b.bought AS bought, t.first_source AS first_source,
           if(length(t.currencies) = 1 AND t.currencies[1] = (SELECT currency[1] FROM main), t.amount, NULL) AS amount,
           if(t.first_order_at + INTERVAL 30 DAY <= known_until,
              arrayCount(x -> x >= t.first_order_at AND x <= t.first_order_at + INTERVAL 30 DAY, o.ordered_at) > 1, NULL) AS repeated,
           f.rules AS rules
    FROM begun AS b
    INNER JOIN told AS t ON b.journey_id = t.journey_id
    LEFT ANY JOIN (
        SELECT customer_id, groupArray(occurred_at) AS ordered_at FROM journeys.touchpoints FINAL
        WHERE type IN ('order_placed', 'purchased') AND customer_id IN (SELECT customer_id FROM begun)
        GROUP BY customer_id
    ) AS o ON b.customer_id = o.customer_id
    LEFT ANY JOIN (
        SELECT journey_id, groupUniqArray(toString(rule)) AS rules FROM journeys.alerts FINAL
        WHERE kind = 'friction' AND status != 'withdrawn' AND customer_id IN (SELECT customer_id FROM begun)
        GROUP BY journey_id
    ) AS f ON b.journey_id = f.journey_id
),
counted AS (
    SELECT arrayJoin(if(empty(rules), [''], rules)) AS rule, first_source, count() AS n, sum(bought) AS bought_n,
           count(amount) AS amount_n, sum(amount) / amount_n AS amount_mean,
           count(repeated) AS repeated_n, sum(repeated) / repeated_n AS repeated_share
    FROM lived
    GROUP BY rule, first_source
)
SELECT w.rule AS rule, sum(w.n) AS journeys, sumIf(w.n, c.n > 0) AS compared, sumIf(c.n, c.n > 0) AS clean,
       sumIf(w.bought_n, c.n > 0) / nullIf(compared, 0) AS conversion_share,
       sumIf(w.n * c.bought_n / c.n, c.n > 0) / nullIf(compared, 0) AS clean_conversion_share,
       conversion_share - clean_conversion_share AS conversion_difference,
       sumIf(w.amount_n, c.amount_n > 0) AS amounts, sumIf(c.amount_n, w.amount_n > 0) AS clean_amounts,
       sumIf(w.amount_n * w.amount_mean, w.amount_n > 0 AND c.amount_n > 0) / nullIf(amounts, 0) AS mean_amount,
       sumIf(w.amount_n * c.amount_mean, w.amount_n > 0 AND c.amount_n > 0) / nullIf(amounts, 0) AS clean_mean_amount,
       mean_amount - clean_mean_amount AS amount_difference, (SELECT currency[1] FROM main) AS currency,
       sumIf(w.repeated_n, c.repeated_n > 0) AS watched, sumIf(c.repeated_n, w.repeated_n > 0) AS clean_watched,
       sumIf(w.repeated_n * w.repeated_share, w.repeated_n > 0 AND c.repeated_n > 0) / nullIf(watched, 0) AS repeat_share,
       sumIf(w.repeated_n * c.repeated_share, w.repeated_n > 0 AND c.repeated_n > 0) / nullIf(watched, 0) AS clean_repeat_share,
       repeat_share - clean_repeat_share AS repeat_difference
FROM (SELECT * FROM counted WHERE rule != '') AS w
LEFT ANY JOIN (SELECT * FROM counted WHERE rule = '') AS c ON w.first_source = c.first_source
GROUP BY rule
SETTINGS join_use_nulls = 0
COMMENT 'parameters since, until: per rule, journeys begun then that had it against clean ones of the same first source: orders, amount, repeat in 30 days';

CREATE OR REPLACE VIEW analytics.recovery
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
WITH (SELECT max(ended_at) FROM analytics.journeys) AS known_until,
concerned AS (
    SELECT customer_id FROM journeys.alerts
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
              arrayExists(x -> x > f.opened_at + INTERVAL 7 DAY AND x <= f.opened_at + INTERVAL 30 DAY, o.ordered_at), NULL)
               AS bought_later
    FROM (
        SELECT * FROM analytics.frictions
        WHERE opened_at >= {since:DateTime64(3, 'UTC')} AND opened_at < {until:DateTime64(3, 'UTC')}
          AND customer_id IN (SELECT customer_id FROM concerned)
    ) AS f
    LEFT ANY JOIN (
        SELECT customer_id, groupArray(opened_at) AS delighted_at FROM journeys.alerts FINAL
        WHERE kind = 'delight' AND status != 'withdrawn' AND customer_id IN (SELECT customer_id FROM concerned)
        GROUP BY customer_id
    ) AS d ON f.customer_id = d.customer_id
    LEFT ANY JOIN (
        SELECT customer_id, groupArray(occurred_at) AS ordered_at FROM journeys.touchpoints FINAL
        WHERE type IN ('order_placed', 'purchased') AND customer_id IN (SELECT customer_id FROM concerned)
        GROUP BY customer_id
    ) AS o ON f.customer_id = o.customer_id
    LEFT ANY JOIN (
        SELECT journey_id, toString(status) AS status, outcome FROM analytics.journeys WHERE customer_id IN (SELECT customer_id FROM concerned)
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
WITH (SELECT max(ended_at) FROM analytics.journeys) AS known_until,
concerned AS (
    SELECT customer_id FROM journeys.alerts
    WHERE kind = 'opportunity' AND opened_at >= {since:DateTime64(3, 'UTC')} AND opened_at < {until:DateTime64(3, 'UTC')}
)
SELECT a.customer_id AS customer_id, a.episode_id AS episode_id, a.journey_id AS journey_id, a.opened_at AS opened_at,
       h.type AS type, h.store_id AS store_id, h.channel AS channel,
       arraySort(arrayDistinct(arrayMap(x -> x.3, arrayFilter(
           x -> x.1 = 'friction' AND x.2 < a.opened_at AND x.2 >= a.opened_at - INTERVAL 7 DAY, e.episodes)))) AS frictions_before,
       a.acknowledged_by AS acknowledged_by, a.acknowledged_at AS acknowledged_at,
       if(a.day_after <= known_until, arrayExists(
           x -> x.1 = 'gift_given' AND x.2 >= a.opened_at AND x.2 <= a.day_after, t.acts), NULL) AS got_gift_in_1_day,
       if(a.day_after <= known_until, arrayExists(
           x -> x.1 != 'gift_given' AND x.2 >= a.opened_at AND x.2 <= a.day_after, t.acts), NULL) AS bought_in_1_day,
       if(a.week_after <= known_until, arrayExists(
           x -> x.1 = 'delight' AND x.2 > a.opened_at AND x.2 <= a.week_after, e.episodes), NULL) AS delighted_in_7_days,
       if(a.week_after <= known_until, arrayExists(
           x -> x.1 = 'friction' AND x.2 > a.opened_at AND x.2 <= a.week_after, e.episodes), NULL) AS friction_in_7_days
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
    WHERE (customer_id, occurred_at) IN (SELECT customer_id, opened_at FROM journeys.alerts WHERE kind = 'opportunity')
      AND (customer_id, concat(source, '/', event_id)) IN
          (SELECT customer_id, arrayJoin(evidence) FROM journeys.alerts WHERE kind = 'opportunity')
) AS h ON a.customer_id = h.customer_id AND a.opened_at = h.occurred_at
LEFT ANY JOIN (
    SELECT customer_id, groupArray((toString(kind), opened_at, toString(rule))) AS episodes FROM journeys.alerts FINAL
    WHERE kind IN ('friction', 'delight') AND status != 'withdrawn' AND customer_id IN (SELECT customer_id FROM concerned)
    GROUP BY customer_id
) AS e ON a.customer_id = e.customer_id
LEFT ANY JOIN (
    SELECT customer_id, groupArray((toString(type), occurred_at)) AS acts FROM journeys.touchpoints FINAL
    WHERE type IN ('gift_given', 'order_placed', 'purchased') AND customer_id IN (SELECT customer_id FROM concerned)
    GROUP BY customer_id
) AS t ON a.customer_id = t.customer_id
SETTINGS join_use_nulls = 0
COMMENT 'parameters since, until: one row per opportunity that opened then, and what came of it; NULL where its time has not passed';

-- What the company does by itself (a parcel, a message, a refund) is no sign of the customer.
CREATE OR REPLACE VIEW analytics.silent_customers
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
WITH troubled AS (
    SELECT customer_id, journey_id, groupUniqArray(toString(rule)) AS rules, count() AS episodes FROM journeys.alerts FINAL
    WHERE kind = 'friction' AND status != 'withdrawn' AND opened_at < {until:DateTime64(3, 'UTC')}
    GROUP BY customer_id, journey_id
)
SELECT s.customer_id AS customer_id, s.last.1 AS last_seen_at,
       dateDiff('millisecond', last_seen_at, {until:DateTime64(3, 'UTC')}) / 86400000 AS days_silent, s.last.4 AS last_type,
       s.last.5 AS journey_id, arraySort(f.rules) AS friction_rules, f.episodes AS friction_episodes,
       s.orders AS orders_before, s.last_order_at AS last_order_at
FROM (
    SELECT customer_id, maxIf((occurred_at, source, event_id, toString(type), journey_id), is_own) AS last,
           countIf(type IN ('order_placed', 'purchased')) AS orders,
           maxOrNullIf(occurred_at, type IN ('order_placed', 'purchased')) AS last_order_at
    FROM (
        SELECT customer_id, occurred_at, toString(source) AS source, event_id, type, journey_id,
               NOT late AND source != 'messaging' AND type NOT IN (
                   'notification_sent', 'notification_failed', 'gift_given', 'customers_merged', 'delivery_promised', 'dispatched',
                   'delivery_delayed', 'out_for_delivery', 'delivery_failed', 'delivered', 'ready_for_pickup', 'parcel_returned',
                   'refund_promised', 'refund_issued', 'callback_promised', 'callback_made', 'complaint_resolved', 'hold_expired'
               ) AS is_own
        FROM analytics.touchpoints
        WHERE occurred_at < {until:DateTime64(3, 'UTC')} AND customer_id IN (SELECT customer_id FROM troubled)
    )
    GROUP BY customer_id
    HAVING countIf(is_own) > 0 AND last.1 <= {until:DateTime64(3, 'UTC')} - toIntervalDay({quiet_days:UInt16})
) AS s
INNER JOIN troubled AS f ON s.customer_id = f.customer_id AND s.last.5 = f.journey_id
SETTINGS join_use_nulls = 0
COMMENT 'parameters until, quiet_days: customers whose last journey before until had friction and who did nothing in the last quiet_days of it';

CREATE OR REPLACE VIEW analytics.score_parts
(
    customer_id String COMMENT 'resolved customer',
    journey_id  UUID COMMENT 'names the journey',
    started_at  DateTime64(3, 'UTC') COMMENT 'first touchpoint of the journey',
    status      String COMMENT 'open or closed',
    outcome     String COMMENT 'converted, abandoned, resolved, unresolved, returned or browsing',
    score       String COMMENT 'experience or effort',
    part        String COMMENT 'what the points are for, such as friction.long_wait; base is every journey''s',
    part_group  String COMMENT 'part before its dot, such as friction',
    points      Float32 COMMENT 'points; those of a journey and score add up to that score'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT customer_id, journey_id, started_at, status, outcome, told.1 AS score, told.2 AS part,
       substringIndex(part, '.', 1) AS part_group, told.3 AS points
FROM (
    SELECT customer_id, journey_id, started_at, status, outcome,
           arrayJoin(arrayConcat(
               arrayMap((k, v) -> ('experience', toString(k), v), mapKeys(experience_parts), mapValues(experience_parts)),
               arrayMap((k, v) -> ('effort', toString(k), v), mapKeys(effort_parts), mapValues(effort_parts)))) AS told
    FROM analytics.journeys
)
COMMENT 'one row per journey and part of its experience and effort scores; parts without points are left out';

-- While it lasts, opened_at of such an alert is when it was found, later since when it was silent; these two say it always.
CREATE OR REPLACE VIEW analytics.source_outages
(
    source          String COMMENT 'source that said nothing',
    episode_id      UUID COMMENT 'names the episode',
    status          String COMMENT 'open or resolved; resolved too when a person said so',
    silent_since    DateTime64(3, 'UTC') COMMENT 'its last word before',
    silent_until    Nullable(DateTime64(3, 'UTC')) COMMENT 'when its next word was seen; NULL while it is silent',
    silent_seconds  Nullable(Float64) COMMENT 'from one to the other; NULL while it is silent',
    last_seen_at    DateTime64(3, 'UTC') COMMENT 'when it was last looked at: as long as that it was silent at least',
    acknowledged_by String COMMENT 'who acknowledged it; empty if nobody did',
    acknowledged_at Nullable(DateTime64(3, 'UTC')) COMMENT 'when they did; NULL if nobody did'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT subject AS source, episode_id, effective_status AS status,
       last_seen_at - toIntervalMillisecond(toInt64(round(actual * 1000))) AS silent_since, resolved_at AS silent_until,
       if(resolved_at IS NULL, NULL, actual) AS silent_seconds, last_seen_at, acknowledged_by, acknowledged_at
FROM analytics.alerts
WHERE rule = 'source_silent' AND status != 'withdrawn'
COMMENT 'one row for each time that a source said nothing though by its own rhythm much was to be expected (alerts source_silent)';
