-- Where {since} and {until} stand, a journey is in if it started at or after the one and before the other. Times without
-- a zone are UTC, whatever zone the server lives in.

CREATE OR REPLACE VIEW analytics.journey_paths
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
WITH started AS
(
    SELECT customer_id, journey_id, started_at, ended_at, status, outcome, contacts, orders, friction,
           if(notEmpty(experience_parts), experience, NULL) AS experience, if(notEmpty(effort_parts), effort, NULL) AS effort
    FROM journeys.journeys FINAL
    WHERE started_at >= {since:DateTime64(3, 'UTC')} AND started_at < {until:DateTime64(3, 'UTC')}
)
SELECT j.customer_id AS customer_id, j.journey_id AS journey_id, j.started_at AS started_at, j.ended_at AS ended_at,
       j.status AS status, j.outcome AS outcome, j.orders > 0 AS converted, j.contacts AS contacts, j.orders AS orders,
       j.friction AS friction, j.experience AS experience, j.effort AS effort,
       arrayMap(x -> x.1, steps) AS moments, arrayMap(x -> x.2, steps) AS sources, arrayMap(x -> x.4, steps) AS types,
       arrayMap(x -> x.5, steps) AS stages, arrayMap(x -> x.6, steps) AS channels
FROM started AS j
INNER JOIN
(
    -- A customer's journeys do not overlap, so a touchpoint belongs to the last one that had begun, if it has not ended.
    SELECT s.journey_id AS journey_id, arraySort(groupArray((t.occurred_at, t.source, t.event_id, t.type, t.stage,
               if(t.channel = '', toString(t.source), toString(t.channel))))) AS steps
    FROM
    (
        SELECT customer_id, occurred_at, source, event_id, type, stage, channel
        FROM journeys.touchpoints FINAL
        WHERE occurred_at >= {since:DateTime64(3, 'UTC')} AND occurred_at <= (SELECT max(ended_at) FROM started)
          AND customer_id IN (SELECT customer_id FROM started) AND NOT late AND type != 'customers_merged'
    ) AS t
    ASOF JOIN started AS s ON t.customer_id = s.customer_id AND t.occurred_at >= s.started_at
    WHERE t.occurred_at <= s.ended_at
    GROUP BY journey_id
) AS p ON j.journey_id = p.journey_id
SETTINGS join_use_nulls = 0
COMMENT 'journey_paths(since, until): one row per journey started in the range with all its touchpoints in order, as arrays of one length: moments,
sources, types, stages, channels (a source stands in where none was said); unlike journeys.path not cut at 200. converted: it holds an order or till
purchase, returned later or not. experience and effort are NULL where a journey was never scored. What flow, variants, funnel and the like are made
of';

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
    ASOF JOIN (SELECT customer_id, journey_id, started_at, ended_at FROM journeys.journeys FINAL) AS j
        ON t.customer_id = j.customer_id AND t.occurred_at >= j.started_at
    WHERE t.occurred_at <= j.ended_at
)
WINDOW journey AS
    (PARTITION BY customer_id, journey_id ORDER BY occurred_at, source, event_id ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
COMMENT 'one row per touchpoint in a journey, with the one before it; equal times go by source, then event_id, as in stitching';

CREATE OR REPLACE VIEW analytics.flow AS
SELECT hop.1 AS from_type, hop.2 AS to_type, count() AS transitions, uniqExact(journey_id) AS journeys,
       quantileExactInclusive(0.5)(hop.3) AS median_seconds, quantileExactInclusive(0.9)(hop.3) AS p90_seconds
FROM
(
    SELECT journey_id, arrayJoin(arrayZip(
               arrayPushFront(types, '(start)'),
               arrayPushBack(types, if(status = 'closed', '(end)', '(open)')),
               arrayMap((former, at) -> dateDiff('millisecond', former, at) / 1000,
                   arrayPushFront(arrayMap(x -> toNullable(x), moments), NULL),
                   arrayPushBack(arrayMap(x -> toNullable(x), moments), NULL)))) AS hop
    FROM
    (
        SELECT journey_id, status, moments, arrayMap(x -> toString(x), types) AS types
        FROM analytics.journey_paths(since = {since:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')})
    )
)
GROUP BY from_type, to_type
HAVING journeys >= {min_journeys:UInt64}
COMMENT 'flow(since, until, min_journeys): what directly follows what in the journeys started in the range. from_type, to_type, transitions, journeys
(in which it happens at least once; pairs in fewer than min_journeys are left out), median_seconds and p90_seconds between the two. A journey begins
with from (start) and goes to (end), or to (open) while it is not closed; those have no seconds';

CREATE OR REPLACE VIEW analytics.variants AS
SELECT steps, journeys, sum(journeys) OVER () AS all_journeys, journeys / all_journeys AS share, open_journeys,
       median_duration_seconds, converted, converted / journeys AS converted_share, friction,
       friction / journeys AS friction_per_journey
FROM
(
    SELECT if({collapse:UInt8} = 1, arrayCompact(types), types) AS steps, count() AS journeys,
           countIf(status = 'open') AS open_journeys,
           quantileExactInclusive(0.5)(dateDiff('millisecond', started_at, ended_at) / 1000) AS median_duration_seconds,
           countIf(converted) AS converted, sum(p.friction) AS friction
    FROM analytics.journey_paths(since = {since:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')}) AS p
    GROUP BY steps
)
COMMENT 'variants(since, until, collapse): distinct orders of types among the journeys started in the range, of any length; with collapse = 1 a type
that repeats at once counts once. steps, journeys, all_journeys, share (of all_journeys), open_journeys (of these: may still go on),
median_duration_seconds from first to last touchpoint, converted, converted_share, friction (episodes), friction_per_journey';

CREATE OR REPLACE VIEW analytics.funnel AS
SELECT step, {steps:Array(String)}[step] AS type, reached, first_value(reached) OVER upwards AS first_reached,
       reached / nullIf(first_reached, 0) AS share_of_first,
       if(step = 1, NULL, lagInFrame(reached) OVER upwards) AS previous_reached,
       reached / nullIf(previous_reached, 0) AS share_of_previous, median_seconds,
       customers, customers / nullIf(first_value(customers) OVER upwards, 0) AS customers_share_of_first,
       customers_median_seconds
FROM
(
    SELECT arrayJoin(arrayEnumerate({steps:Array(String)})) AS step,
           countIf(counted = 'journey' AND length(chain) > step) AS reached,
           quantileExactInclusiveOrNullIf(0.5)((chain[step + 1] - chain[1]) / 1000, counted = 'journey' AND length(chain) > step)
               AS median_seconds,
           countIf(counted = 'customer' AND length(chain) > step) AS customers,
           quantileExactInclusiveOrNullIf(0.5)((chain[step + 1] - chain[1]) / 1000, counted = 'customer' AND length(chain) > step)
               AS customers_median_seconds
    FROM
    (
        -- chains[k]: of the attempts that reached step k in time, the one begun last, as [begin, time of step 1, … of step k].
        -- No earlier attempt can get further than that one, so one chain for each step is all there is to remember.
        SELECT subject.1 AS counted, arrayLast(chain -> notEmpty(chain), arrayFold(
                   (chains, kind, at) -> arrayMap(
                       (step, chain, former) -> if(
                           step = kind AND notEmpty(former) AND at - former[1] <= {window_seconds:UInt64} * 1000
                               AND (empty(chain) OR former[1] > chain[1]),
                           arrayPushBack(former, at), chain),
                       {steps:Array(String)}, chains, arrayPushFront(arrayPopBack(chains), [at])),
                   subject.2, subject.3, arrayMap(step -> emptyArrayInt64(), {steps:Array(String)}))) AS chain
        FROM
        (
            SELECT arrayJoin(arrayPushBack(
                       arrayMap(x -> ('journey', x.2, x.3), journeys),
                       ('customer', arrayFlatten(arrayMap(x -> x.2, journeys)), arrayFlatten(arrayMap(x -> x.3, journeys)))
                   )) AS subject
            FROM
            (
                SELECT arraySort(x -> x.1, groupArray((started_at, arrayMap(x -> toString(x.1), kept),
                           arrayMap(x -> toUnixTimestamp64Milli(x.2), kept)))) AS journeys
                FROM
                (
                    SELECT customer_id, started_at,
                           arrayFilter(x -> has({steps:Array(String)}, x.1), arrayZip(types, moments)) AS kept
                    FROM analytics.journey_paths(since = {since:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')})
                )
                WHERE notEmpty(kept)
                GROUP BY customer_id
            )
        )
        UNION ALL
        -- Gives every step a row where nobody reached any.
        SELECT '', emptyArrayInt64()
    )
    GROUP BY step
)
WINDOW upwards AS (ORDER BY step ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
COMMENT 'funnel(since, until, steps, window_seconds): how many of the journeys started in the range went through these types in this order, other
touchpoints between them or not, all within window_seconds of the first. One row per step: step, type, reached (journeys), first_reached,
share_of_first, previous_reached, share_of_previous, median_seconds (from the first step), and the same of customers over all their journeys in the
range: customers, customers_share_of_first, customers_median_seconds. Of several attempts the one that gets furthest counts, of these the last';

CREATE OR REPLACE VIEW analytics.drop_off AS
SELECT stage AS last_stage, type AS last_type, journeys, reached_stage, journeys / reached_stage AS share_of_stage,
       reached_type, journeys / reached_type AS share_of_type
FROM
(
    SELECT mark.1 AS kind, mark.2 AS stage, mark.3 AS type, count() AS journeys,
           maxIf(journeys, kind = 'stage') OVER (PARTITION BY stage) AS reached_stage,
           maxIf(journeys, kind = 'type') OVER (PARTITION BY type) AS reached_type
    FROM
    (
        SELECT arrayJoin(arrayConcat(
                   if(converted, [], [('last', toString(stages[-1]), toString(types[-1]))]),
                   arrayMap(stage -> ('stage', toString(stage), ''), arrayDistinct(stages)),
                   arrayMap(type -> ('type', '', toString(type)), arrayDistinct(types)))) AS mark
        FROM analytics.journey_paths(since = {since:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')})
        WHERE status = 'closed'
    )
    GROUP BY mark
)
WHERE kind = 'last'
COMMENT 'drop_off(since, until): where closed journeys without an order ended, of those that started in the range; open ones may still go on and are
left out. last_stage, last_type, journeys (that ended there without an order), reached_stage and reached_type (closed journeys, with or without an
order, that ever came to that stage or type), share_of_stage, share_of_type (journeys as a share of these)';

CREATE OR REPLACE VIEW analytics.retention
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
WITH ordered AS
(
    -- The first order ever decides: a customer whose first order lies before the range is not new in it.
    SELECT customer_id, min(occurred_at) AS first_order_at, toMonday(first_order_at) AS cohort_week
    FROM (SELECT customer_id, occurred_at FROM journeys.touchpoints FINAL WHERE type IN ('order_placed', 'purchased') AND NOT late)
    GROUP BY customer_id
    HAVING toDateTime64(cohort_week, 3, 'UTC') >= {since:DateTime64(3, 'UTC')} AND first_order_at < {until:DateTime64(3, 'UTC')}
),
later AS
(
    SELECT o.cohort_week AS cohort_week, intDiv(dateDiff('millisecond', o.first_order_at, j.started_at),
               {period_days:UInt32} * 86400000) + 1 AS period,
           uniqExact(j.customer_id) AS returned, uniqExactIf(j.customer_id, j.orders > 0) AS reordered
    FROM (SELECT customer_id, started_at, orders FROM journeys.journeys FINAL WHERE started_at < {until:DateTime64(3, 'UTC')}) AS j
    INNER JOIN ordered AS o ON j.customer_id = o.customer_id
    WHERE j.started_at > o.first_order_at
    GROUP BY cohort_week, period
)
SELECT c.cohort_week AS cohort_week, c.customers AS customers, c.period AS period,
       toDateTime64(c.cohort_week + 7 + c.period * {period_days:UInt32}, 3, 'UTC') <= {until:DateTime64(3, 'UTC')} AS is_over,
       if(is_over, l.returned, NULL) AS returned, returned / c.customers AS returned_share,
       if(is_over, l.reordered, NULL) AS reordered, reordered / c.customers AS reordered_share
FROM
(
    SELECT cohort_week, count() AS customers, arrayJoin(range(1, 2 + toUInt32(intDiv(
               dateDiff('millisecond', toDateTime64(cohort_week, 3, 'UTC'), {until:DateTime64(3, 'UTC')}) - 1,
               {period_days:UInt32} * 86400000)))) AS period
    FROM ordered
    GROUP BY cohort_week
) AS c
LEFT JOIN later AS l ON c.cohort_week = l.cohort_week AND c.period = l.period
SETTINGS join_use_nulls = 0
COMMENT 'retention(since, until, period_days): customers by the week (Monday, UTC) of their first order ever, for weeks that begin in the range, and
whether they came back. cohort_week, customers, period (1: the first period_days days after a customer''s own first order), is_over, returned
(customers with a journey that started in the period, after the first order), returned_share, reordered (of these: with an order in such a journey),
reordered_share (of customers). A period that is not over at until for everybody in the week is NULL. Who never pauses for longer than the journey gap
starts no new journey: take periods longer than the gap';

CREATE OR REPLACE VIEW analytics.conversion_by_channel AS
SELECT channel,
       countIf(at = 'first') AS first_journeys, countIf(at = 'first' AND converted) AS first_converted,
       first_converted / nullIf(first_journeys, 0) AS first_converted_share,
       countIf(at = 'first' AND undecided) AS first_undecided,
       countIf(at = 'last') AS last_journeys, countIf(at = 'last' AND converted) AS last_converted,
       last_converted / nullIf(last_journeys, 0) AS last_converted_share,
       countIf(at = 'last' AND undecided) AS last_undecided
FROM
(
    SELECT converted, NOT converted AND status = 'open' AS undecided, arrayJoin([
               ('first', channels[1]),
               ('last', channels[if(converted, arrayFirstIndex(x -> x IN ('order_placed', 'purchased'), types), -1)])]) AS touch,
           touch.1 AS at, touch.2 AS channel
    FROM analytics.journey_paths(since = {since:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')})
)
GROUP BY channel
COMMENT 'conversion_by_channel(since, until): journeys started in the range by the channel (the source where none was said) of their first touchpoint,
and beside it of their last up to the first order: what comes after an order, such as a delivery, has not led to it. Where there is no order the last
touchpoint counts. channel, first_journeys, first_converted, first_converted_share, first_undecided (of first_journeys: still open, without an order
so far), and the same for last_';

CREATE OR REPLACE VIEW analytics.channel_hops AS
SELECT hops, count() AS journeys, sum(journeys) OVER () AS all_journeys, journeys / all_journeys AS share,
       countIf(p.converted) AS converted, converted / journeys AS converted_share,
       sumMap(map(toString(outcome), toUInt64(1))) AS outcomes, sum(p.contacts) AS contacts, sum(p.friction) AS friction,
       count(p.experience) AS scored_journeys, avg(p.experience) AS experience, avg(p.effort) AS effort
FROM
(
    SELECT *, toUInt32(greatest(length(arrayCompact(
               arrayFilter((channel, source) -> source NOT IN ('messaging', 'delivery'), channels, sources))), 1) - 1) AS hops
    FROM analytics.journey_paths(since = {since:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')})
) AS p
GROUP BY hops
COMMENT 'channel_hops(since, until): journeys started in the range by how often their channel (the source where none was said) changed from one
touchpoint to the next; sources messaging and delivery are skipped, in which the company comes to the customer. hops, journeys, all_journeys, share,
converted, converted_share, outcomes (journeys by outcome), contacts, friction, scored_journeys, experience and effort (averages of these)';

CREATE OR REPLACE VIEW analytics.channel_pairs AS
SELECT pair.1 AS from_channel, pair.2 AS to_channel, count() AS hops, uniqExact(journey_id) AS journeys,
       uniqExactIf(journey_id, converted) AS journeys_converted, quantileExactInclusive(0.5)(pair.3) AS median_seconds
FROM
(
    SELECT journey_id, converted, arrayJoin(arrayFilter(x -> x.1 != x.2, arrayMap(
               (former, this) -> (former.1, this.1, dateDiff('millisecond', former.2, this.2) / 1000),
               arrayPopBack(kept), arrayPopFront(kept)))) AS pair
    FROM
    (
        SELECT journey_id, converted, arrayMap(x -> (x.1, x.2), arrayFilter(x -> x.3 NOT IN ('messaging', 'delivery'),
                   arrayZip(channels, moments, sources))) AS kept
        FROM analytics.journey_paths(since = {since:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')})
    )
)
GROUP BY from_channel, to_channel
COMMENT 'channel_pairs(since, until): the changes of channel that channel_hops counts, by pair. from_channel, to_channel, hops, journeys (in which it
happens at least once), journeys_converted (of these: with an order, before or after it), median_seconds between the two touchpoints';

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
SELECT t.customer_id AS customer_id,
       -- A customer_id that itself looks like an identifier of another kind is shown with its prefix, customer_id.
       substringIndex(t.customer_id, ':', 1) IN ('loyalty_id', 'phone', 'email', 'device_id', 'anonymous_id') AS is_provisional,
       t.first_seen_at AS first_seen_at, t.last_seen_at AS last_seen_at, t.touchpoints AS touchpoints,
       j.journeys AS journeys, j.open_journeys AS open_journeys, j.orders AS orders, j.contacts AS contacts,
       j.promises AS promises, j.promises_late AS promises_late, j.promises_broken AS promises_broken,
       j.friction AS friction, j.delight AS delight, if(j.journeys > 0, j.last_outcome, NULL) AS last_outcome,
       if(s.journeys > 0, s.experience, NULL) AS experience, if(s.journeys > 0, s.effort, NULL) AS effort
FROM
(
    SELECT customer_id, min(occurred_at) AS first_seen_at, max(occurred_at) AS last_seen_at, count() AS touchpoints
    FROM (SELECT customer_id, occurred_at FROM journeys.touchpoints FINAL WHERE type != 'customers_merged')
    GROUP BY customer_id
) AS t
LEFT JOIN
(
    SELECT customer_id, count() AS journeys, countIf(status = 'open') AS open_journeys, sum(o.orders) AS orders,
           sum(o.contacts) AS contacts, sum(o.promises) AS promises, sum(o.promises_late) AS promises_late,
           sum(o.promises_broken) AS promises_broken, sum(o.friction) AS friction, sum(o.delight) AS delight,
           toString(argMax(outcome, started_at)) AS last_outcome
    FROM journeys.journeys AS o FINAL
    GROUP BY customer_id
) AS j ON t.customer_id = j.customer_id
LEFT JOIN (SELECT customer_id, journeys, experience, effort FROM analytics.customer_scores) AS s ON t.customer_id = s.customer_id
SETTINGS join_use_nulls = 0
COMMENT 'one row per customer with a touchpoint: what they have been through, and how it was';
