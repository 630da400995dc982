-- What is asked of all time and of a range is one definition, in a view with parameters; the plain view takes it for ever.
CREATE OR REPLACE VIEW analytics.contacts_between
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT customer_id, said.contact_id AS contact_id,
       argMinIf(said.topic, occurred_at, type = 'contact_started') AS topic,
       argMinIf(channel, occurred_at, channel != '') AS channel,
       argMinIf(order_id, occurred_at, order_id != '') AS order_id,
       argMinIf(case_id, occurred_at, case_id != '') AS case_id,
       argMinIf(store_id, occurred_at, store_id != '') AS store_id,
       min(occurred_at) AS first_at,
       argMin(late, occurred_at) AS is_late,
       minIfOrNull(occurred_at, type = 'contact_started') AS started_at,
       minIfOrNull(occurred_at, type = 'contact_answered') AS answered_at,
       minIfOrNull(occurred_at, type = 'contact_answered' AND said.by = 'human') AS answered_by_human_at,
       maxIfOrNull(occurred_at, type = 'contact_ended') AS ended_at,
       minIfOrNull(occurred_at, type = 'contact_abandoned') AS abandoned_at,
       -- An answer before the question is a wrong clock, not a short wait.
       if(answered_at >= started_at, dateDiff('millisecond', started_at, answered_at) / 1000, NULL) AS wait_seconds,
       if(answered_by_human_at >= started_at, dateDiff('millisecond', started_at, answered_by_human_at) / 1000, NULL)
           AS human_wait_seconds,
       argMaxIf((said.handle_seconds, said.resolved), occurred_at, type = 'contact_ended') AS ending,
       ending.1 AS handle_seconds,
       argMaxIf(agent_id, occurred_at, agent_id != '') AS agent_id,
       countIf(type = 'contact_transferred') AS transfers,
       toBool(countIf(type = 'contact_escalated') > 0) AS escalated,
       ending.2 AS resolved,
       toBool(abandoned_at IS NOT NULL) AS abandoned
FROM
(
    SELECT customer_id, occurred_at, type, channel, order_id, case_id, store_id, agent_id, late,
           JSONExtract(properties, 
               'Tuple(contact_id String, topic String, by String, handle_seconds Nullable(Float64), resolved Nullable(Bool))') AS said
    FROM journeys.touchpoints FINAL
    WHERE type IN ('contact_started', 'contact_answered', 'contact_transferred', 'contact_escalated', 'contact_ended',
                   'contact_abandoned')
      AND occurred_at >= {since:DateTime64(3, 'UTC')} AND occurred_at < {until:DateTime64(3, 'UTC')}
)
GROUP BY customer_id, contact_id
COMMENT 'Contacts as known from touchpoints of since to before until.
Parameters: since, until.
Columns: those of analytics.contacts that one contact alone decides, first_at (first touchpoint), is_late';

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
-- The same problem is, as in rule repeat_contact, the same order or the same topic.
SELECT c.customer_id AS customer_id, c.contact_id AS contact_id,
       if(c.first_at <= j.ended_at AND NOT c.is_late, j.journey_id, toUUID('00000000-0000-0000-0000-000000000000')) AS journey_id,
       c.topic AS topic, c.channel AS channel, c.order_id AS order_id, c.case_id AS case_id, c.store_id AS store_id,
       c.started_at AS started_at, c.answered_at AS answered_at, c.answered_by_human_at AS answered_by_human_at,
       c.ended_at AS ended_at, c.abandoned_at AS abandoned_at, c.wait_seconds AS wait_seconds,
       c.human_wait_seconds AS human_wait_seconds, c.handle_seconds AS handle_seconds, c.agent_id AS agent_id,
       c.transfers AS transfers, c.escalated AS escalated, c.resolved AS resolved, c.abandoned AS abandoned,
       c.previous.2 AS previous_contact_id,
       if(c.previous.2 = '', NULL, dateDiff('millisecond', c.previous.1, c.started_at) / 1000) AS seconds_since_previous
FROM
(
    SELECT *, (ifNull(started_at, toDateTime64(0, 3, 'UTC')), contact_id) AS start,
           lagInFrame(start, 1, (toDateTime64(0, 3, 'UTC'), '')) OVER by_order AS same_order,
           lagInFrame(start, 1, (toDateTime64(0, 3, 'UTC'), '')) OVER by_topic AS same_topic,
           arraySort([(toDateTime64(0, 3, 'UTC'), ''), if(order_id = '' OR started_at IS NULL, (toDateTime64(0, 3, 'UTC'), ''), same_order),
               if(topic = '' OR started_at IS NULL, (toDateTime64(0, 3, 'UTC'), ''), same_topic)])[-1] AS previous
    FROM analytics.contacts_between(since = '1970-01-01', until = '2299-12-31')
    WINDOW by_order AS (PARTITION BY customer_id, order_id, started_at IS NULL ORDER BY started_at, contact_id
                        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW),
           by_topic AS (PARTITION BY customer_id, topic, started_at IS NULL ORDER BY started_at, contact_id
                        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
) AS c
ASOF LEFT JOIN (SELECT customer_id, journey_id, started_at, ended_at FROM journeys.journeys FINAL) AS j
    ON c.customer_id = j.customer_id AND c.first_at >= j.started_at
SETTINGS join_use_nulls = 0
COMMENT 'one row per support contact of a customer: when it began, was answered, ended, and the same problem''s contact before it';

CREATE OR REPLACE VIEW analytics.waits_between
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT customer_id, 'queue' AS kind, queue AS subject, toString(store_id) AS store_id, toString(channel) AS channel, occurred_at AS waited_from,
       if(following.1 = 'service_started', following.2, NULL) AS waited_until,
       dateDiff('millisecond', waited_from, waited_until) / 1000 AS seconds,
       -- Nobody says that a customer walks out; who stands in the same line anew has left it in between.
       toBool(following.1 = 'queue_joined') AS gave_up, CAST(NULL, 'Nullable(DateTime64(3, \'UTC\'))') AS gave_up_at
FROM
(
    SELECT customer_id, occurred_at, type, channel, store_id, JSONExtractString(properties, 'queue') AS queue,
           leadInFrame((toString(type), occurred_at), 1, ('', occurred_at)) OVER
           (
               PARTITION BY customer_id, store_id, queue ORDER BY occurred_at, source, event_id
               ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING
           ) AS following
    FROM journeys.touchpoints FINAL
    WHERE type IN ('queue_joined', 'service_started')
      AND occurred_at >= {since:DateTime64(3, 'UTC')} AND occurred_at < {until:DateTime64(3, 'UTC')}
)
WHERE type = 'queue_joined'
UNION ALL
SELECT customer_id, waiting.1, contact_id, store_id, channel, assumeNotNull(started_at),
       if(waiting.2 IS NULL, NULL, waiting.3), waiting.2,
       toBool(waiting.3 IS NULL AND abandoned_at IS NOT NULL), if(waiting.3 IS NULL, abandoned_at, NULL)
FROM
(
    SELECT customer_id, contact_id, store_id, channel, started_at, abandoned_at,
           -- Whom a bot served to the end has not waited for a human.
           arrayJoin(arrayFilter(
               each -> each.1 = 'contact' OR each.3 IS NOT NULL OR ended_at IS NULL,
               [('contact', wait_seconds, answered_at), ('human', human_wait_seconds, answered_by_human_at)])) AS waiting
    FROM analytics.contacts_between(since = {since:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')})
    WHERE started_at IS NOT NULL
)
COMMENT 'Waits that began from since to before until, as known then. Parameters: since, until. Columns: those of analytics.waits';

CREATE OR REPLACE VIEW analytics.waits
(
    customer_id  String COMMENT 'resolved customer',
    kind         String COMMENT 'queue (joined to served in a store), contact (start to first answer) or human (start to first answer by a human)',
    subject      String COMMENT 'queue, or contact id',
    store_id     String COMMENT 'empty if none',
    channel      String COMMENT 'empty if not said',
    waited_from  DateTime64(3, 'UTC') COMMENT 'when it began',
    waited_until Nullable(DateTime64(3, 'UTC')) COMMENT 'when it was over; NULL if unanswered',
    seconds      Nullable(Float64) COMMENT 'how long; NULL if unanswered',
    gave_up      Bool COMMENT 'unanswered, and the customer abandoned the contact or joined the same queue again',
    gave_up_at   Nullable(DateTime64(3, 'UTC')) COMMENT 'when the contact was abandoned; NULL if not so, and for queues, where nobody records it'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT customer_id, kind, subject, store_id, channel, waited_from, waited_until, seconds, gave_up, gave_up_at
FROM analytics.waits_between(since = '1970-01-01', until = '2299-12-31')
COMMENT 'one row per wait for service; a contact that a human answers is there as contact and as human';

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
WITH toDateTime64('2299-12-31 00:00:00', 3, 'UTC') AS never,
-- A delivery without parcel id, or a pick-up, brings all that is still to come.
least(if(mapContains(o.came, ''), o.came[''], never), ifNull(o.picked_up_at, never)) AS whole_at,
arraySort(mapValues(mapFilter((parcel, at) -> parcel != '', o.came))) AS named,
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
           minMapIf(map(said.parcel_id, occurred_at), type = 'delivered') AS came,
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
          AND order_id != ''
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
COMMENT 'one row per order of a customer: promised, dispatched, delivered (all parcels), asked about; till purchases are not here';

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
    WHERE type = 'complaint_opened' OR type = 'complaint_resolved' AND (case_id != '' OR order_id != '')
)
GROUP BY customer_id, case_key
COMMENT 'one row per complaint case of a customer; a settlement that names neither case nor order is left out';
