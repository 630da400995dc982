-- What is told of an order stands near to its promise in time. So a question about a range reads touchpoints from a month before it
-- on; the plain view takes all there are.
CREATE OR REPLACE VIEW journeys.orders_seen_since
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
WITH toDateTime64('2299-12-31 00:00:00', 3, 'UTC') AS never,
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
           argMax((toString(status), settled_at, latest_promised_at), requested_at) AS last
    FROM analytics.promises
    WHERE kind = 'delivery'
    GROUP BY customer_id, subject
) AS p ON o.customer_id = p.customer_id AND o.order_id = p.subject
SETTINGS join_use_nulls = 0
COMMENT 'Orders as known from touchpoints of seen_since on, and from all promises.
Parameters: seen_since.
Columns: those of analytics.orders';

CREATE OR REPLACE VIEW analytics.orders
(
    customer_id             String COMMENT 'resolved customer',
    order_id                String COMMENT 'order of the site; till purchases are not here',
    placed_at               Nullable(DateTime64(3, 'UTC')) COMMENT 'NULL if nobody recorded it',
    amount                  Nullable(Float64) COMMENT 'as last said by order_placed',
    currency                String COMMENT 'of the amount; empty if not said',
    promise_requested_at    Nullable(DateTime64(3, 'UTC')) COMMENT 'when a delivery time was first promised; NULL if never',
    first_promised_at       Nullable(DateTime64(3, 'UTC')) COMMENT 'time first promised; NULL if none',
    latest_promised_at      Nullable(DateTime64(3, 'UTC')) COMMENT 'time last promised; NULL if none',
    called_off_at           Nullable(DateTime64(3, 'UTC')) COMMENT 'when the promise was withdrawn by a return; NULL if not so',
    dispatched_at           Nullable(DateTime64(3, 'UTC')) COMMENT 'first parcel',
    delivered_at            Nullable(DateTime64(3, 'UTC')) COMMENT 'when the last parcel came or the order was picked up; NULL until all have come',
    parcels                 UInt64 COMMENT 'how many it comes in, 1 if nobody said',
    parcels_delivered       UInt64 COMMENT 'of these: have come',
    parcels_on_time_first   Nullable(UInt64) COMMENT 'of these: by the time first promised; NULL without promise',
    parcels_on_time_latest  Nullable(UInt64) COMMENT 'of these: by the time last promised; NULL without promise',
    on_time_first           Nullable(Bool) COMMENT 'all came by the time first promised; NULL without promise or while that is open',
    on_time_latest          Nullable(Bool) COMMENT 'all came by the time last promised; NULL as above',
    in_full                 Nullable(Bool) COMMENT 'all parcels came; false once the time last promised has passed; NULL before',
    failed_attempts         UInt64 COMMENT 'how often the courier could not hand it over',
    carrier                 String COMMENT 'property carrier of its delivery touchpoints as last said; empty if none',
    wismo_views             UInt64 COMMENT 'how often its status was looked up',
    wismo_contacts          UInt64 COMMENT 'contacts that name it with topic delivery, as in rule wismo',
    returned                Bool COMMENT 'goods of it were brought back'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT customer_id, order_id, placed_at, amount, currency, promise_requested_at, first_promised_at, latest_promised_at,
       called_off_at, dispatched_at, delivered_at, parcels, parcels_delivered, parcels_on_time_first, parcels_on_time_latest,
       on_time_first, on_time_latest, in_full, failed_attempts, carrier, wismo_views, wismo_contacts, returned
FROM journeys.orders_seen_since(seen_since = '1970-01-01')
COMMENT 'one row per order of a customer: promised, dispatched, delivered (all parcels), asked about; till purchases are not here';

CREATE OR REPLACE VIEW analytics.orders_between
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT customer_id, order_id, placed_at, amount, currency, promise_requested_at, first_promised_at, latest_promised_at,
       called_off_at, dispatched_at, delivered_at, parcels, parcels_delivered, parcels_on_time_first, parcels_on_time_latest,
       on_time_first, on_time_latest, in_full, failed_attempts, carrier, wismo_views, wismo_contacts, returned
FROM journeys.orders_seen_since(seen_since = {since:DateTime64(3, 'UTC')} - INTERVAL 31 DAY)
WHERE customer_id IN
(
    SELECT customer_id FROM journeys.touchpoints
    WHERE type = 'order_placed' AND occurred_at >= {since:DateTime64(3, 'UTC')} AND occurred_at < {until:DateTime64(3, 'UTC')}
)
  AND placed_at >= {since:DateTime64(3, 'UTC')} AND placed_at < {until:DateTime64(3, 'UTC')}
COMMENT 'Orders placed from since to before until, as known now. What was said of one more than 31 days before since is left out.
Parameters: since, until.
Columns: those of analytics.orders';

-- The earliest such promise, taken without FINAL, is earlier at most.
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
    FROM journeys.orders_seen_since(seen_since =
    (
        SELECT min(requested_at) - INTERVAL 31 DAY FROM journeys.promises
        WHERE kind = 'delivery'
          AND first_promised_at >= {since:DateTime64(3, 'UTC')} AND first_promised_at < {until:DateTime64(3, 'UTC')}
    ))
    WHERE customer_id IN
    (
        SELECT customer_id FROM journeys.promises
        WHERE kind = 'delivery'
          AND first_promised_at >= {since:DateTime64(3, 'UTC')} AND first_promised_at < {until:DateTime64(3, 'UTC')}
    )
      AND (customer_id, order_id) IN
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

-- The same problem is, as in rule repeat_contact, the same order or the same topic.
CREATE OR REPLACE VIEW analytics.contacts_in_turn
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
WITH (toDateTime64(0, 3, 'UTC'), '') AS none
SELECT customer_id, contact_id, topic, channel, order_id, case_id, store_id, first_at, is_late, started_at, answered_at, answered_by_human_at,
       ended_at, abandoned_at, wait_seconds, human_wait_seconds, handle_seconds, agent_id, transfers, escalated, resolved, abandoned,
       (ifNull(started_at, toDateTime64(0, 3, 'UTC')), contact_id) AS start,
       lagInFrame(start, 1, none) OVER by_order AS same_order, lagInFrame(start, 1, none) OVER by_topic AS same_topic,
       arraySort([none, if(order_id = '' OR started_at IS NULL, none, same_order),
           if(topic = '' OR started_at IS NULL, none, same_topic)])[-1] AS previous,
       previous.2 AS previous_contact_id,
       if(previous.2 = '', NULL, dateDiff('millisecond', previous.1, started_at) / 1000) AS seconds_since_previous
FROM analytics.contacts_between(since = {since:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')})
WINDOW by_order AS (PARTITION BY customer_id, order_id, started_at IS NULL ORDER BY started_at, contact_id
                    ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW),
       by_topic AS (PARTITION BY customer_id, topic, started_at IS NULL ORDER BY started_at, contact_id
                    ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
COMMENT 'Contacts as known from touchpoints of since to before until, each with the one before it among these about the same problem.
Parameters: since, until.
Columns: those of analytics.contacts_between; previous_contact_id, seconds_since_previous as in analytics.contacts';

CREATE OR REPLACE VIEW analytics.contacts
(
    customer_id            String COMMENT 'resolved customer',
    contact_id             String COMMENT 'call, chat or message thread',
    journey_id             UUID COMMENT 'journey of its first touchpoint; all zeros: none',
    topic                  String COMMENT 'as said at its start; empty if not said',
    channel                String COMMENT 'first channel that is named; empty if none',
    order_id               String COMMENT 'empty if none',
    case_id                String COMMENT 'empty if none',
    store_id               String COMMENT 'empty if none',
    started_at             Nullable(DateTime64(3, 'UTC')) COMMENT 'when the customer began to wait; NULL if nobody recorded it',
    answered_at            Nullable(DateTime64(3, 'UTC')) COMMENT 'first answer, by bot or human; NULL if there is none',
    answered_by_human_at   Nullable(DateTime64(3, 'UTC')) COMMENT 'first answer by a human; NULL if there is none',
    ended_at               Nullable(DateTime64(3, 'UTC')) COMMENT 'last end; NULL if it has not ended',
    abandoned_at           Nullable(DateTime64(3, 'UTC')) COMMENT 'when the customer gave up; NULL if not so',
    wait_seconds           Nullable(Float64) COMMENT 'start to first answer; NULL while unanswered, without a start, or if clocks contradict',
    human_wait_seconds     Nullable(Float64) COMMENT 'start to first answer by a human, time with a bot included; NULL as above',
    handle_seconds         Nullable(Float64) COMMENT 'as said at its end; NULL if not said',
    agent_id               String COMMENT 'who served last; empty if not said',
    transfers              UInt64 COMMENT 'how often the customer was passed on',
    escalated              Bool COMMENT 'went to a higher level',
    resolved               Nullable(Bool) COMMENT 'as said at its end; NULL if it has not ended',
    abandoned              Bool COMMENT 'the customer gave up, before or after an answer',
    previous_contact_id    String COMMENT 'latest contact before it of this customer with the same order or topic; empty if none',
    seconds_since_previous Nullable(Float64) COMMENT 'from the start of that one to the start of this one; NULL if none'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT c.customer_id AS customer_id, c.contact_id AS contact_id,
       j.journey_id AS journey_id,
       c.topic AS topic, c.channel AS channel, c.order_id AS order_id, c.case_id AS case_id, c.store_id AS store_id,
       c.started_at AS started_at, c.answered_at AS answered_at, c.answered_by_human_at AS answered_by_human_at,
       c.ended_at AS ended_at, c.abandoned_at AS abandoned_at, c.wait_seconds AS wait_seconds,
       c.human_wait_seconds AS human_wait_seconds, c.handle_seconds AS handle_seconds, c.agent_id AS agent_id,
       c.transfers AS transfers, c.escalated AS escalated, c.resolved AS resolved, c.abandoned AS abandoned,
       c.previous_contact_id AS previous_contact_id, c.seconds_since_previous AS seconds_since_previous
FROM analytics.contacts_in_turn(since = '1970-01-01', until = '2299-12-31') AS c
LEFT ANY JOIN (SELECT customer_id, journey_id, started_at, ended_at FROM journeys.journeys FINAL) AS j
    ON c.customer_id = j.customer_id AND c.first_at >= j.started_at AND c.first_at <= j.ended_at AND NOT c.is_late
SETTINGS join_use_nulls = 0
COMMENT 'one row per support contact of a customer: when it began, was answered, ended, and the same problem''s contact before it';

CREATE OR REPLACE VIEW journeys.complaints_seen_since
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
WITH arraySort(groupArray((occurred_at, source, event_id, is_opening))) AS turns,
     arrayLastIndex(turn -> turn.4, turns) AS last_opening,
     arrayFirstIndex(turn -> NOT turn.4 AND turn.1 >= opened_at, turns) AS first_settlement
SELECT customer_id, case_key AS case_id, argMinIf(order_id, occurred_at, order_id != '') AS order_id,
       argMinIf(store_id, occurred_at, store_id != '') AS store_id,
       argMinIf(topic, occurred_at, is_opening) AS topic,
       minIfOrNull(occurred_at, is_opening) AS opened_at,
       if(first_settlement = 0, NULL, turns[first_settlement].1) AS first_resolved_at,
       if(last_opening = length(turns), NULL, turns[last_opening + 1].1) AS resolved_at,
       arrayCount((turn, before) -> turn.4 AND NOT before.4, arrayPopFront(turns), arrayPopBack(turns)) AS reopened,
       dateDiff('millisecond', opened_at, first_resolved_at) / 3600000 AS hours_to_first_resolve,
       dateDiff('millisecond', opened_at, resolved_at) / 3600000 AS hours_to_resolve
FROM
(
    SELECT customer_id, occurred_at, source, event_id, order_id, store_id, type = 'complaint_opened' AS is_opening,
           multiIf(case_id != '', case_id, order_id != '', order_id, concat(source, '/', event_id)) AS case_key,
           JSONExtractString(properties, 'topic') AS topic
    FROM journeys.touchpoints FINAL
    WHERE (type = 'complaint_opened' OR type = 'complaint_resolved' AND (case_id != '' OR order_id != ''))
      AND occurred_at >= {seen_since:DateTime64(3, 'UTC')}
)
GROUP BY customer_id, case_key
COMMENT 'Complaint cases as known from touchpoints of seen_since on.
Parameters: seen_since.
Columns: those of analytics.complaints';

CREATE OR REPLACE VIEW analytics.complaints
(
    customer_id             String COMMENT 'resolved customer',
    case_id                 String COMMENT 'case; else the order; else source/event_id of its opening',
    order_id                String COMMENT 'empty if none',
    store_id                String COMMENT 'empty if none',
    topic                   String COMMENT 'as said when it was first opened; empty if not said',
    opened_at               Nullable(DateTime64(3, 'UTC')) COMMENT 'first opening; NULL if nobody recorded it',
    first_resolved_at       Nullable(DateTime64(3, 'UTC')) COMMENT 'first settlement after that; NULL if none',
    resolved_at             Nullable(DateTime64(3, 'UTC')) COMMENT 'settlement after which it was not opened again; NULL while it is open',
    reopened                UInt64 COMMENT 'how often it was opened after it had been settled',
    hours_to_first_resolve  Nullable(Float64) COMMENT 'opening to first settlement; NULL if there is none',
    hours_to_resolve        Nullable(Float64) COMMENT 'opening to the settlement that held; NULL while it is open'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT customer_id, case_id, order_id, store_id, topic, opened_at, first_resolved_at, resolved_at,
       reopened, hours_to_first_resolve, hours_to_resolve
FROM journeys.complaints_seen_since(seen_since = '1970-01-01')
COMMENT 'one row per complaint case of a customer; a settlement that names neither case nor order is left out';

CREATE OR REPLACE VIEW analytics.complaints_between
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT customer_id, case_id, order_id, store_id, topic, opened_at, first_resolved_at, resolved_at,
       reopened, hours_to_first_resolve, hours_to_resolve
FROM journeys.complaints_seen_since(seen_since = {since:DateTime64(3, 'UTC')} - INTERVAL 92 DAY)
WHERE opened_at >= {since:DateTime64(3, 'UTC')} AND opened_at < {until:DateTime64(3, 'UTC')}
COMMENT 'Complaint cases first opened from since to before until, as known now. A case opened before, too, is seen as such for 92 days.
Parameters: since, until.
Columns: those of analytics.complaints';
