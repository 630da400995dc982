-- As in 0019: rows that a range is about are looked for first, and only their versions are merged.
CREATE OR REPLACE VIEW journeys.orders_between
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
WITH toDateTime64('2299-12-31 00:00:00', 3, 'UTC') AS never,
-- Whoever ordered in the range, or was promised a delivery for it.
asked AS
(
    SELECT customer_id FROM journeys.touchpoints
    WHERE type = 'order_placed' AND occurred_at >= {since:DateTime64(3, 'UTC')} AND occurred_at < {until:DateTime64(3, 'UTC')}
    UNION ALL
    SELECT customer_id FROM journeys.promises
    WHERE kind = 'delivery' AND first_promised_at >= {since:DateTime64(3, 'UTC')} AND first_promised_at < {until:DateTime64(3, 'UTC')}
),
-- A delivery without parcel id, or a pick-up, brings all that is still to come.
least(ifNull(o.came_at, never), ifNull(o.picked_up_at, never)) AS whole_at,
arraySort(arrayMap(parcel -> arrayMin(each -> each.2, arrayFilter(each -> each.1 = parcel, o.came)), arrayDistinct(o.came.1))) AS named,
toUInt64(greatest(o.said_parcels, length(named), 1)) AS all_parcels,
arrayFilter(at -> at < never, arrayMap(at -> least(at, whole_at), arrayResize(named, all_parcels, never))) AS recorded,
p.last.1 AS status, p.last.2 AS settled_at, p.last.3 AS last_promised,
-- A delivery that names no order settles the oldest promise; only that knows.
if(empty(recorded) AND status IN ('kept', 'late'), arrayWithConstant(all_parcels, assumeNotNull(settled_at)), recorded) AS arrivals,
if(length(arrivals) = all_parcels, arrayMax(arrivals), NULL) AS completed_at,
status = 'withdrawn' AND completed_at IS NULL AS is_called_off
SELECT o.customer_id AS customer_id, o.order_id AS order_id, o.placed_at AS placed_at, o.paid.1 AS amount, o.paid.2 AS currency,
       if(status = '', NULL, p.first_requested_at) AS promise_requested_at,
       if(status = '', NULL, p.first_promised) AS first_promised_at,
       if(status = '', NULL, last_promised) AS latest_promised_at,
       if(is_called_off, settled_at, NULL) AS called_off_at,
       o.dispatched_at AS dispatched_at, completed_at AS delivered_at, all_parcels AS parcels,
       length(arrivals) AS parcels_delivered,
       arrayCount(at -> at <= first_promised_at, arrivals) + if(status = '', NULL, 0) AS parcels_on_time_first,
       arrayCount(at -> at <= latest_promised_at, arrivals) + if(status = '', NULL, 0) AS parcels_on_time_latest,
       multiIf(status = '', NULL, completed_at IS NOT NULL, toBool(completed_at <= p.first_promised),
               status = 'broken' OR is_called_off AND settled_at > p.first_promised, false, NULL) AS on_time_first,
       multiIf(status = '', NULL, completed_at IS NOT NULL, toBool(completed_at <= last_promised),
               status = 'broken' OR is_called_off AND settled_at > last_promised, false, NULL) AS on_time_latest,
       multiIf(completed_at IS NOT NULL, true, status = 'broken' OR is_called_off AND settled_at > last_promised, false, NULL)
           AS in_full,
       o.failed_attempts AS failed_attempts, o.carrier AS carrier, o.wismo_views AS wismo_views,
       o.wismo_contacts AS wismo_contacts, o.returned AS returned
FROM
(
    SELECT customer_id, order_id,
           minIfOrNull(occurred_at, type = 'order_placed') AS placed_at,
           argMaxIf((said.amount, said.currency), (occurred_at, event_id), type = 'order_placed') AS paid,
           minIfOrNull(occurred_at, type = 'dispatched') AS dispatched_at,
           minIfOrNull(occurred_at, type = 'picked_up') AS picked_up_at,
           minIfOrNull(occurred_at, type = 'delivered' AND said.parcel_id = '') AS came_at,
           groupArrayIf((said.parcel_id, occurred_at), type = 'delivered' AND said.parcel_id != '') AS came,
           max(said.parcels) AS said_parcels,
           countIf(type = 'delivery_failed') AS failed_attempts,
           argMaxIf(said.carrier, (occurred_at, event_id), said.carrier != '') AS carrier,
           countIf(type = 'order_status_viewed') AS wismo_views,
           uniqExactIf(said.contact_id, type = 'contact_started' AND said.topic = 'delivery') AS wismo_contacts,
           toBool(countIf(type = 'returned') > 0) AS returned
    FROM
    (
        SELECT customer_id, order_id, occurred_at, event_id, type,
               JSONExtract(properties, 'Tuple(amount Nullable(Float64), currency String, parcel_id String, parcels UInt16,
                   carrier String, contact_id String, topic String)') AS said
        FROM journeys.touchpoints FINAL
        PREWHERE customer_id IN (SELECT customer_id FROM asked)
        WHERE type IN ('order_placed', 'delivery_promised', 'dispatched', 'delivery_delayed', 'out_for_delivery', 'delivery_failed',
                       'delivered', 'ready_for_pickup', 'picked_up', 'parcel_returned', 'returned', 'order_status_viewed',
                       'contact_started')
          AND order_id != '' AND occurred_at >= {seen_since:DateTime64(3, 'UTC')}
    )
    GROUP BY customer_id, order_id
    -- What is only asked about is no order that the shop has told of.
    HAVING countIf(type NOT IN ('returned', 'order_status_viewed', 'contact_started')) > 0
) AS o
LEFT JOIN
(
    SELECT customer_id, subject, min(requested_at) AS first_requested_at,
           argMin(first_promised_at, requested_at) AS first_promised,
           argMax((toString(status), nullIf(settled_at, toDateTime64(0, 3, 'UTC')), latest_promised_at), requested_at) AS last
    FROM journeys.promises FINAL
    PREWHERE customer_id IN (SELECT customer_id FROM asked)
    WHERE kind = 'delivery'
    GROUP BY customer_id, subject
) AS p ON o.customer_id = p.customer_id AND o.order_id = p.subject
SETTINGS join_use_nulls = 0
COMMENT 'Orders of customers who ordered, or were promised a delivery, from since to before until, as known from touchpoints of seen_since on.
Parameters: since, until, seen_since.
Columns: those of analytics.orders';

CREATE OR REPLACE VIEW analytics.orders_between
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT customer_id, order_id, placed_at, amount, currency, promise_requested_at, first_promised_at, latest_promised_at,
       called_off_at, dispatched_at, delivered_at, parcels, parcels_delivered, parcels_on_time_first, parcels_on_time_latest,
       on_time_first, on_time_latest, in_full, failed_attempts, carrier, wismo_views, wismo_contacts, returned
FROM journeys.orders_between(
    since = {since:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')}, seen_since = {since:DateTime64(3, 'UTC')} - INTERVAL 31 DAY)
WHERE placed_at >= {since:DateTime64(3, 'UTC')} AND placed_at < {until:DateTime64(3, 'UTC')}
COMMENT 'Orders placed from since to before until, as known now. What was said of one more than 31 days before since is left out.
Parameters: since, until.
Columns: those of analytics.orders';

CREATE OR REPLACE VIEW analytics.on_time
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT toDate(dateTrunc({period:String}, first_promised_at, 'UTC')) AS period, carrier,
       count() AS orders, countIf(is_open) AS undecided_orders,
       countIf(parcels_on_time_first > 0) AS on_time_orders_first, on_time_orders_first / orders AS otd_first_share,
       countIf(came_at <= first_promised_at) AS in_full_orders_first, in_full_orders_first / orders AS otif_first_share,
       countIf(parcels_on_time_latest > 0 AND NOT is_open) AS on_time_orders_latest,
       on_time_orders_latest / nullIf(orders - undecided_orders, 0) AS otd_latest_share,
       countIf(came_at <= latest_promised_at) AS in_full_orders_latest,
       in_full_orders_latest / nullIf(orders - undecided_orders, 0) AS otif_latest_share
FROM
(
    SELECT carrier, assumeNotNull(first_promised_at) AS first_promised_at, latest_promised_at, parcels_on_time_first,
           parcels_on_time_latest, if(delivered_at < {until:DateTime64(3, 'UTC')}, delivered_at, NULL) AS came_at,
           came_at IS NULL AND (latest_promised_at >= {until:DateTime64(3, 'UTC')}
               OR ifNull(called_off_at <= latest_promised_at, false)) AS is_open
    FROM journeys.orders_between(since = {since:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')}, seen_since =
    (
        SELECT min(requested_at) - INTERVAL 31 DAY FROM journeys.promises
        WHERE kind = 'delivery'
          AND first_promised_at >= {since:DateTime64(3, 'UTC')} AND first_promised_at < {until:DateTime64(3, 'UTC')}
    ))
    WHERE (customer_id, order_id) IN
    (
        SELECT customer_id, subject FROM journeys.promises
        WHERE kind = 'delivery'
          AND first_promised_at >= {since:DateTime64(3, 'UTC')} AND first_promised_at < {until:DateTime64(3, 'UTC')}
    )
      AND first_promised_at >= {since:DateTime64(3, 'UTC')} AND first_promised_at < {until:DateTime64(3, 'UTC')}
      AND NOT ifNull(called_off_at <= first_promised_at, false)
)
GROUP BY period, carrier
COMMENT 'Orders first promised for a time from since to before until, as known at until: did they come in time (OTD), and all of them (OTIF).
Parameters: since, until, period (week or month).
Columns: period (its first day, UTC, of the first promised time), carrier, orders (called off before that time: left out), undecided_orders (not all
here, and the time last promised not over at until, or called off before it: left out of what is judged by that), on_time_orders_first (a parcel at
least came by the time first promised), otd_first_share (of orders, 0 to 1), in_full_orders_first (all parcels did), otif_first_share, and by the time
last promised on_time_orders_latest, otd_latest_share, in_full_orders_latest, otif_latest_share (of orders less undecided_orders)';

CREATE OR REPLACE VIEW analytics.journey_types
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT s.journey_id AS journey_id, toString(t.type) AS type, any(t.customer_id) AS customer_id, count() AS touchpoints
FROM
(
    SELECT customer_id, occurred_at, type
    FROM journeys.touchpoints FINAL
    WHERE occurred_at >= {since:DateTime64(3, 'UTC')}
      AND occurred_at <= (SELECT max(ended_at) FROM journeys.journeys
          WHERE started_at >= {since:DateTime64(3, 'UTC')} AND started_at < {until:DateTime64(3, 'UTC')})
      AND NOT late AND type != 'customers_merged'
) AS t
ASOF JOIN
(
    SELECT customer_id, journey_id, started_at, ended_at
    FROM journeys.journeys FINAL
    PREWHERE journey_id IN (SELECT journey_id FROM journeys.journeys
        WHERE started_at >= {since:DateTime64(3, 'UTC')} AND started_at < {until:DateTime64(3, 'UTC')})
    WHERE started_at >= {since:DateTime64(3, 'UTC')} AND started_at < {until:DateTime64(3, 'UTC')}
) AS s ON t.customer_id = s.customer_id AND t.occurred_at >= s.started_at
WHERE t.occurred_at <= s.ended_at
GROUP BY journey_id, type
SETTINGS join_use_nulls = 0
COMMENT 'journey_types(since, until): one row per journey started in the range and type that it has: journey_id, type, customer_id, touchpoints (of that
type). For counts that need no order; a filter on the type leaves the others unread';

-- The same for history: an old state may put an episode or a journey into the range, so it only names it, and all its states are read.
CREATE OR REPLACE VIEW analytics.alert_history_between
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT customer_id, episode_id, journey_id, rule, rule_version, kind, severity, status, change, subject, store_id,
       opened_at, last_seen_at, nullIf(resolved_at, toDateTime64(0, 3, 'UTC')) AS resolved_at, threshold, actual, unit,
       affected_customers, withdrawn_because, is_retracted, state, known_at, known_until
FROM
(
    SELECT customer_id, episode_id, journey_id, rule, rule_version, kind, severity, status, change, subject, store_id,
           opened_at, last_seen_at, resolved_at, threshold, actual, unit, affected_customers, withdrawn_because,
           toBool(_is_deleted = 1) AS is_retracted, toUInt32(row_number() OVER in_order) AS state, _ingested_at AS known_at,
           leadInFrame(toNullable(_ingested_at)) OVER (in_order ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS known_until
    FROM
    (
        SELECT *, (journey_id, rule, rule_version, kind, severity, status, change, subject, store_id, opened_at,
                   last_seen_at, resolved_at, threshold, actual, unit, affected_customers, withdrawn_because, _is_deleted) AS told,
               lagInFrame(told) OVER (in_order ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS told_before,
               row_number() OVER in_order AS number
        FROM
        (
            SELECT *, max(_version) OVER (PARTITION BY customer_id, episode_id ORDER BY _ingested_at, _version DESC
                                          ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS version_before
            FROM journeys.alert_history
            WHERE episode_id IN
            (
                SELECT episode_id FROM journeys.alert_history
                WHERE opened_at >= {since:DateTime64(3, 'UTC')} AND opened_at < {until:DateTime64(3, 'UTC')}
            )
        )
        WHERE _version > version_before
        WINDOW in_order AS (PARTITION BY customer_id, episode_id ORDER BY _ingested_at, _version DESC)
    )
    WHERE number = 1 OR told IS DISTINCT FROM told_before
    WINDOW in_order AS (PARTITION BY customer_id, episode_id ORDER BY _ingested_at, _version DESC)
)
COMMENT 'alert_history_between(since, until): all states of the episodes that opened in the range by any of their states; columns as in
analytics.alert_history';

CREATE OR REPLACE VIEW analytics.alerts_between_as_known_at
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT customer_id, episode_id, argMax(h.journey_id, _version) AS journey_id, argMax(h.rule, _version) AS rule,
       argMax(h.rule_version, _version) AS rule_version, argMax(h.kind, _version) AS kind, argMax(h.severity, _version) AS severity,
       argMax(h.status, _version) AS status, argMax(h.change, _version) AS change, argMax(h.subject, _version) AS subject,
       argMax(h.store_id, _version) AS store_id, argMax(h.opened_at, _version) AS opened_at,
       argMax(h.last_seen_at, _version) AS last_seen_at,
       nullIf(argMax(h.resolved_at, _version), toDateTime64(0, 3, 'UTC')) AS resolved_at, argMax(h.threshold, _version) AS threshold,
       argMax(h.actual, _version) AS actual, argMax(h.unit, _version) AS unit,
       argMax(tuple(h.affected_customers), _version).1 AS affected_customers,
       argMax(h.withdrawn_because, _version) AS withdrawn_because,
       -- The same state may have been written twice, by a write whose answer was lost: it was known from the first on.
       argMax(_ingested_at, (_version, -toUnixTimestamp64Milli(_ingested_at))) AS known_at
FROM
(
    SELECT * FROM journeys.alert_history WHERE _ingested_at <= {at:DateTime64(3, 'UTC')}
    UNION ALL
    SELECT customer_id, episode_id, journey_id, rule, rule_version, kind, severity, status, change, subject, store_id,
           opened_at, last_seen_at, resolved_at, threshold, actual, unit, affected_customers, withdrawn_because,
           _ingested_at, _version, _is_deleted
    FROM journeys.alerts WHERE _ingested_at <= {at:DateTime64(3, 'UTC')}
) AS h
WHERE episode_id IN
(
    SELECT episode_id FROM journeys.alert_history
    WHERE opened_at >= {since:DateTime64(3, 'UTC')} AND opened_at < {until:DateTime64(3, 'UTC')}
    UNION ALL
    SELECT episode_id FROM journeys.alerts
    WHERE opened_at >= {since:DateTime64(3, 'UTC')} AND opened_at < {until:DateTime64(3, 'UTC')}
)
GROUP BY customer_id, episode_id
HAVING NOT argMax(_is_deleted, _version)
   AND opened_at >= {since:DateTime64(3, 'UTC')} AND opened_at < {until:DateTime64(3, 'UTC')}
COMMENT 'alerts_between_as_known_at(at, since, until): of analytics.alerts_as_known_at those that opened in the range, as far as known at that moment';

CREATE OR REPLACE VIEW analytics.journeys_between_as_known_at
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT customer_id, journey_id, argMax(h.started_at, _version) AS started_at, argMax(h.ended_at, _version) AS ended_at,
       argMax(h.status, _version) AS status, argMax(h.outcome, _version) AS outcome, argMax(h.touchpoints, _version) AS touchpoints,
       argMax(h.contacts, _version) AS contacts, argMax(h.orders, _version) AS orders, argMax(h.promises, _version) AS promises,
       argMax(h.promises_open, _version) AS promises_open, argMax(h.promises_kept, _version) AS promises_kept,
       argMax(h.promises_late, _version) AS promises_late, argMax(h.promises_broken, _version) AS promises_broken,
       argMax(h.friction, _version) AS friction, argMax(h.delight, _version) AS delight,
       argMax(h.experience, _version) AS experience, argMax(h.effort, _version) AS effort,
       argMax(_ingested_at, (_version, -toUnixTimestamp64Milli(_ingested_at))) AS known_at
FROM
(
    SELECT * FROM journeys.journey_history WHERE _ingested_at <= {at:DateTime64(3, 'UTC')}
    UNION ALL
    SELECT customer_id, journey_id, started_at, ended_at, status, outcome, touchpoints, contacts, orders,
           promises, promises_open, promises_kept, promises_late, promises_broken, friction, delight, experience, effort,
           _ingested_at, _version, _is_deleted
    FROM journeys.journeys WHERE _ingested_at <= {at:DateTime64(3, 'UTC')}
) AS h
WHERE journey_id IN
(
    SELECT journey_id FROM journeys.journey_history
    WHERE started_at >= {since:DateTime64(3, 'UTC')} AND started_at < {until:DateTime64(3, 'UTC')}
    UNION ALL
    SELECT journey_id FROM journeys.journeys
    WHERE started_at >= {since:DateTime64(3, 'UTC')} AND started_at < {until:DateTime64(3, 'UTC')}
)
GROUP BY customer_id, journey_id
HAVING NOT argMax(_is_deleted, _version)
   AND started_at >= {since:DateTime64(3, 'UTC')} AND started_at < {until:DateTime64(3, 'UTC')}
COMMENT 'journeys_between_as_known_at(at, since, until): of analytics.journeys_as_known_at those that started in the range, as far as known at that moment';
