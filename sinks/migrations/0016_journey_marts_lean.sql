-- The same questions answered with less reading. What they mean is unchanged; columns have the comments of before.
-- The bound is taken without FINAL: it is later at most. A journey comes with each of its touchpoints, so that its table is
-- read once; what is not asked for is not carried.
CREATE OR REPLACE VIEW analytics.journey_paths
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT customer_id, journey_id, started_at, ended_at, status, outcome, converted, contacts, orders, friction, experience, effort,
       arrayMap(x -> x.1, steps) AS moments, arrayMap(x -> x.2, steps) AS sources, arrayMap(x -> x.4, steps) AS types,
       arrayMap(x -> x.5, steps) AS stages, arrayMap(x -> x.6, steps) AS channels
FROM
(
    -- A customer's journeys do not overlap, so a touchpoint belongs to the last one that had begun, if it has not ended.
    SELECT any(t.customer_id) AS customer_id, s.journey_id AS journey_id, any(s.started_at) AS started_at, any(s.ended_at) AS ended_at,
           any(s.status) AS status, any(s.outcome) AS outcome, any(s.orders) > 0 AS converted, any(s.contacts) AS contacts,
           any(s.orders) AS orders, any(s.friction) AS friction,
           any(tuple(s.experience)).1 AS experience, any(tuple(s.effort)).1 AS effort,
           arraySort(groupArray((t.occurred_at, t.source, t.event_id, t.type, t.stage,
               if(t.channel = '', toString(t.source), toString(t.channel))))) AS steps
    FROM
    (
        SELECT customer_id, occurred_at, source, event_id, type, stage, channel
        FROM journeys.touchpoints FINAL
        WHERE occurred_at >= {since:DateTime64(3, 'UTC')}
          AND occurred_at <= (SELECT max(ended_at) FROM journeys.journeys
              WHERE started_at >= {since:DateTime64(3, 'UTC')} AND started_at < {until:DateTime64(3, 'UTC')})
          AND NOT late AND type != 'customers_merged'
    ) AS t
    ASOF JOIN
    (
        SELECT customer_id, journey_id, started_at, ended_at, status, outcome, contacts, orders, friction,
               if(notEmpty(experience_parts), experience, NULL) AS experience, if(notEmpty(effort_parts), effort, NULL) AS effort
        FROM journeys.journeys FINAL
        WHERE started_at >= {since:DateTime64(3, 'UTC')} AND started_at < {until:DateTime64(3, 'UTC')}
    ) AS s ON t.customer_id = s.customer_id AND t.occurred_at >= s.started_at
    WHERE t.occurred_at <= s.ended_at
    GROUP BY journey_id
)
SETTINGS join_use_nulls = 0
COMMENT 'journey_paths(since, until): one row per journey started in the range with all its touchpoints in order, as arrays of one length: moments,
sources, types, stages, channels (a source stands in where none was said); unlike journeys.path not cut at 200. converted: it holds an order or till
purchase, returned later or not. experience and effort are NULL where a journey was never scored. What flow, variants, funnel and the like are made
of';

CREATE OR REPLACE VIEW analytics.customers
(
    customer_id     String COMMENT 'resolved customer, or kind:value while only a weaker identifier is known',
    is_provisional  Bool COMMENT 'known by a weaker identifier only, not by a customer_id',
    first_seen_at   DateTime64(3, 'UTC') COMMENT 'first touchpoint, late ones included',
    last_seen_at    DateTime64(3, 'UTC') COMMENT 'last touchpoint, late ones included',
    touchpoints     UInt64 COMMENT 'touchpoints, late ones included; records of a merge are none',
    journeys        UInt64 COMMENT 'journeys; 0 if there are only late touchpoints',
    open_journeys   UInt64 COMMENT 'of these: open',
    orders          UInt64 COMMENT 'orders and till purchases',
    contacts        UInt64 COMMENT 'support contacts started',
    promises        UInt64 COMMENT 'promises made to the customer',
    promises_late   UInt64 COMMENT 'of these: kept too late',
    promises_broken UInt64 COMMENT 'of these: time passed, still owed',
    friction        UInt64 COMMENT 'friction episodes, withdrawn ones not counted',
    delight         UInt64 COMMENT 'delight episodes, withdrawn ones not counted',
    last_outcome    Nullable(String) COMMENT 'outcome of the journey that started last; NULL if there is none',
    experience      Nullable(Float64) COMMENT 'as in customer_scores, 0 to 100; NULL if no journey was scored',
    effort          Nullable(Float64) COMMENT 'as in customer_scores, 0 to 100; NULL if no journey was scored'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
-- Everything but late touchpoints is in a journey, and a customer has 25 times fewer of those than touchpoints.
WITH exp2(dateDiff('millisecond', toDateTime64('2100-01-01 00:00:00', 3, 'UTC'), ended_at) / (90 * 86400000)) AS weight
SELECT customer_id,
       -- A customer_id that itself looks like an identifier of another kind is shown with its prefix, customer_id.
       substringIndex(customer_id, ':', 1) IN ('loyalty_id', 'phone', 'email', 'device_id', 'anonymous_id') AS is_provisional,
       min(o.started_at) AS first_seen_at, max(o.ended_at) AS last_seen_at, sum(o.touchpoints) AS touchpoints,
       countIf(is_journey) AS journeys, countIf(status = 'open') AS open_journeys, sum(o.orders) AS orders, sum(o.contacts) AS contacts,
       sum(o.promises) AS promises, sum(o.promises_late) AS promises_late, sum(o.promises_broken) AS promises_broken,
       sum(o.friction) AS friction, sum(o.delight) AS delight,
       if(journeys > 0, toString(argMaxIf(outcome, o.started_at, is_journey)), NULL) AS last_outcome,
       sumIf(weight * o.experience, is_scored) / nullIf(sumIf(weight, is_scored), 0) AS experience,
       sumIf(weight * o.effort, is_scored) / nullIf(sumIf(weight, is_scored), 0) AS effort
FROM
(
    SELECT customer_id, started_at, ended_at, touchpoints, true AS is_journey, status, outcome, orders, contacts, promises,
           promises_late, promises_broken, friction, delight, experience, effort, notEmpty(experience_parts) AS is_scored
    FROM journeys.journeys FINAL
    UNION ALL
    SELECT customer_id, occurred_at, occurred_at, 1, false, '', '', 0, 0, 0, 0, 0, 0, 0, 0, 0, false
    FROM journeys.touchpoints FINAL
    WHERE late AND type != 'customers_merged'
) AS o
GROUP BY customer_id
COMMENT 'one row per customer with a touchpoint: what they have been through, and how it was';

-- A customer's first order ever lies in their first journey with one, so touchpoints need be read only from where the earliest
-- such journey begins that meets the range. That bound is taken without FINAL: it is earlier at most.
CREATE OR REPLACE VIEW analytics.retention
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
WITH {period_days:UInt32} * 86400000 AS period_ms
SELECT week.1 AS cohort_week, customers, arrayJoin(range(1, 2 + toUInt32(intDiv(
           dateDiff('millisecond', toDateTime64(cohort_week, 3, 'UTC'), {until:DateTime64(3, 'UTC')}) - 1, period_ms)))) AS period,
       toDateTime64(cohort_week + 7 + period * {period_days:UInt32}, 3, 'UTC') <= {until:DateTime64(3, 'UTC')} AS is_over,
       if(is_over, returned_in[period], NULL) AS returned, returned / customers AS returned_share,
       if(is_over, reordered_in[period], NULL) AS reordered, reordered / customers AS reordered_share
FROM
(
    SELECT tuple(cohort_week) AS week, count() AS customers,
           sumMap(arrayMap(x -> (toInt64(x), toUInt64(1)), returned_periods)::Map(Int64, UInt64)) AS returned_in,
           sumMap(arrayMap(x -> (toInt64(x), toUInt64(1)), reordered_periods)::Map(Int64, UInt64)) AS reordered_in
    FROM
    (
        SELECT toMonday(o.first_order_at) AS cohort_week,
               arrayFilter(x -> x.1 > o.first_order_at, l.journeys) AS later,
               arrayDistinct(arrayMap(x -> intDiv(dateDiff('millisecond', o.first_order_at, x.1), period_ms) + 1, later)) AS returned_periods,
               arrayDistinct(arrayMap(x -> intDiv(dateDiff('millisecond', o.first_order_at, x.1), period_ms) + 1,
                   arrayFilter(x -> x.2, later))) AS reordered_periods
        FROM
        (
            SELECT customer_id, min(occurred_at) AS first_order_at
            FROM journeys.touchpoints FINAL
            WHERE type IN ('order_placed', 'purchased') AND NOT late AND occurred_at < {until:DateTime64(3, 'UTC')}
              AND occurred_at >=
              (
                  SELECT min(started_at) FROM journeys.journeys
                  WHERE orders > 0 AND ended_at >= {since:DateTime64(3, 'UTC')} AND started_at < {until:DateTime64(3, 'UTC')}
              )
            GROUP BY customer_id
        ) AS o
        INNER JOIN
        (
            SELECT customer_id, groupArray((started_at, orders > 0)) AS journeys,
                   argMinIf(ended_at, started_at, orders > 0) AS first_bought_until
            FROM journeys.journeys FINAL
            WHERE started_at < {until:DateTime64(3, 'UTC')}
            GROUP BY customer_id
            HAVING first_bought_until >= {since:DateTime64(3, 'UTC')}
        ) AS l ON o.customer_id = l.customer_id
        WHERE toDateTime64(cohort_week, 3, 'UTC') >= {since:DateTime64(3, 'UTC')}
    )
    GROUP BY cohort_week
)
SETTINGS join_use_nulls = 0
COMMENT 'retention(since, until, period_days): customers by the week (Monday, UTC) of their first order ever, for weeks that begin in the range, and
whether they came back. cohort_week, customers, period (1: the first period_days days after a customer''s own first order), is_over, returned
(customers with a journey that started in the period, after the first order), returned_share, reordered (of these: with an order in such a journey),
reordered_share (of customers). A period that is not over at until for everybody in the week is NULL. Who never pauses for longer than the journey gap
starts no new journey: take periods longer than the gap';

CREATE OR REPLACE VIEW analytics.journey_steps
(
    customer_id            String COMMENT 'resolved customer',
    journey_id             UUID COMMENT 'journey that the touchpoint belongs to',
    step                   UInt32 COMMENT 'place in the journey, from 1',
    occurred_at            DateTime64(3, 'UTC') COMMENT 'when it happened',
    source                 LowCardinality(String) COMMENT 'web, store, support, delivery, messaging or feedback',
    channel                LowCardinality(String) COMMENT 'medium inside the source; empty if not said',
    type                   LowCardinality(String) COMMENT 'what happened, from the catalogue',
    stage                  LowCardinality(String) COMMENT 'stage of the type',
    previous_type          LowCardinality(String) COMMENT 'type of the touchpoint before it; empty for the first',
    seconds_since_previous Nullable(Float64) COMMENT 'from the touchpoint before it to this one; NULL for the first',
    store_id               LowCardinality(String) COMMENT 'empty if none',
    agent_id               LowCardinality(String) COMMENT 'empty if none',
    order_id               String COMMENT 'empty if none',
    event_id               String COMMENT 'the source''s own id; (source, event_id) identifies the touchpoint'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT customer_id, journey_id, row_number() OVER journey AS step, occurred_at, source, channel, type, stage,
       lagInFrame(toString(type)) OVER journey AS previous_type,
       if(step = 1, NULL, dateDiff('millisecond', lagInFrame(occurred_at) OVER journey, occurred_at) / 1000)
           AS seconds_since_previous,
       store_id, agent_id, order_id, event_id
FROM
(
    SELECT t.customer_id AS customer_id, j.journey_id AS journey_id, t.occurred_at AS occurred_at, t.source AS source,
           t.channel AS channel, t.type AS type, t.stage AS stage, t.store_id AS store_id, t.agent_id AS agent_id,
           t.order_id AS order_id, t.event_id AS event_id
    FROM
    (
        SELECT customer_id, occurred_at, source, channel, type, stage, store_id, agent_id, order_id, event_id
        FROM journeys.touchpoints FINAL
        WHERE NOT late AND type != 'customers_merged'
    ) AS t
    INNER JOIN (SELECT customer_id, journey_id, started_at, ended_at FROM journeys.journeys FINAL) AS j
        ON t.customer_id = j.customer_id AND t.occurred_at >= j.started_at AND t.occurred_at <= j.ended_at
)
WINDOW journey AS
    (PARTITION BY customer_id, journey_id ORDER BY occurred_at, source, event_id ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
COMMENT 'one row per touchpoint in a journey, with the one before it; equal times go by source, then event_id, as in stitching';

-- Only what is a step is read. What repeats at once changes nothing: of a first step the last one counts, of others the first.
CREATE OR REPLACE VIEW analytics.funnel
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
WITH started AS
(
    SELECT customer_id, started_at, ended_at
    FROM journeys.journeys FINAL
    WHERE started_at >= {since:DateTime64(3, 'UTC')} AND started_at < {until:DateTime64(3, 'UTC')}
),
-- A type that is a step more than once has the number of the first of these.
arrayMap(step -> toUInt8(indexOf({steps:Array(String)}, step)), {steps:Array(String)}) AS numbers,
length(arrayDistinct(numbers)) < length(numbers) AS is_repeated
SELECT step, {steps:Array(String)}[step] AS type, reached, first_value(reached) OVER upwards AS first_reached,
       reached / nullIf(first_reached, 0) AS share_of_first,
       if(step = 1, NULL, lagInFrame(reached) OVER upwards) AS previous_reached,
       reached / nullIf(previous_reached, 0) AS share_of_previous, median_seconds,
       customers, customers / nullIf(first_value(customers) OVER upwards, 0) AS customers_share_of_first,
       customers_median_seconds
FROM
(
    SELECT arrayJoin(arrayEnumerate({steps:Array(String)})) AS step,
           countIf(is_journey AND length(chain) > step) AS reached,
           quantileExactInclusiveOrNullIf(0.5)((chain[step + 1] - chain[1]) / 1000, is_journey AND length(chain) > step)
               AS median_seconds,
           countIf(is_customer AND length(chain) > step) AS customers,
           quantileExactInclusiveOrNullIf(0.5)((chain[step + 1] - chain[1]) / 1000, is_customer AND length(chain) > step)
               AS customers_median_seconds
    FROM
    (
        -- chains[k]: of the attempts that reached step k in time, the one begun last, as [begin, time of step 1, … of step k].
        -- No earlier attempt can get further than that one, so one chain for each step is all there is to remember.
        SELECT is_journey, is_customer, arrayLast(chain -> notEmpty(chain), arrayFold(
                   (chains, kind, at) -> arrayMap(
                       (number, chain, former) -> if(
                           number = kind AND notEmpty(former) AND at - former[1] <= {window_seconds:UInt64} * 1000
                               AND (empty(chain) OR former[1] > chain[1]),
                           arrayPushBack(former, at), chain),
                       numbers, chains, arrayPushFront(arrayPopBack(chains), [at])),
                   kinds, times, arrayMap(number -> emptyArrayInt64(), numbers))) AS chain
        FROM
        (
            SELECT part.1 AS is_journey, part.2 AS is_customer, arrayMap(x -> x.5, part.3) AS all_kinds,
                   arrayFilter(
                       (x, kind, former, next) -> is_repeated OR if(kind = 1, next != 1, kind != former),
                       part.3, all_kinds, arrayPushFront(arrayPopBack(all_kinds), 0), arrayPushBack(arrayPopFront(all_kinds), 0)) AS kept,
                   arrayMap(x -> x.5, kept) AS kinds, arrayMap(x -> toUnixTimestamp64Milli(x.2), kept) AS times
            FROM
            (
                SELECT arrayJoin(if(length(in_journeys) = 1, [(true, true, whole)],
                           arrayPushBack(arrayMap(x -> (true, false, x), in_journeys), (false, true, whole)))) AS part
                FROM
                (
                    SELECT arraySort(groupArray((s.started_at, t.occurred_at, t.source, t.event_id, t.kind))) AS whole,
                           arraySplit((x, former) -> x.1 != former.1, whole, arrayPushFront(arrayPopBack(whole), whole[1])) AS in_journeys
                    FROM
                    (
                        SELECT customer_id, occurred_at, source, event_id,
                               toUInt8(indexOf({steps:Array(String)}, toString(type))) AS kind
                        FROM journeys.touchpoints FINAL
                        WHERE occurred_at >= {since:DateTime64(3, 'UTC')}
                          AND occurred_at <= (SELECT max(ended_at) FROM journeys.journeys
                              WHERE started_at >= {since:DateTime64(3, 'UTC')} AND started_at < {until:DateTime64(3, 'UTC')})
                          AND has({steps:Array(String)}, toString(type)) AND NOT late AND type != 'customers_merged'
                    ) AS t
                    ASOF JOIN started AS s ON t.customer_id = s.customer_id AND t.occurred_at >= s.started_at
                    WHERE t.occurred_at <= s.ended_at
                    GROUP BY t.customer_id
                )
            )
            WHERE has(all_kinds, 1)
        )
        UNION ALL
        -- Gives every step a row where nobody reached any.
        SELECT false, false, emptyArrayInt64()
    )
    GROUP BY step
)
WINDOW upwards AS (ORDER BY step ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
COMMENT 'funnel(since, until, steps, window_seconds): how many of the journeys started in the range went through these types in this order, other
touchpoints between them or not, all within window_seconds of the first. One row per step: step, type, reached (journeys), first_reached,
share_of_first, previous_reached, share_of_previous, median_seconds (from the first step), and the same of customers over all their journeys in the
range: customers, customers_share_of_first, customers_median_seconds. Of several attempts the one that gets furthest counts, of these the last';
