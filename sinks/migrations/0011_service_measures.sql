-- What was asked before and again about the same order or topic, read once for both measures of repeats.
CREATE OR REPLACE VIEW analytics.contacts_by_problem
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT customer_id, contact_id, at AS started_at, any(called.1) AS channel, any(called.2) AS topic, any(called.3) AS order_id,
       toBool(max(subject.1 != 'contact')) AS names_problem,
       toBool(max(before > toDateTime64(0, 3, 'UTC') AND before + toIntervalDay({window_days:UInt16}) >= at)) AS asked_before,
       toBool(max(again > toDateTime64(0, 3, 'UTC') AND at + toIntervalDay({window_days:UInt16}) >= again)) AS asked_again,
       toBool(at + toIntervalDay({window_days:UInt16}) < {until:DateTime64(3, 'UTC')}) AS window_passed
FROM
(
    SELECT customer_id, contact_id, at, called, subject,
           lagInFrame(at, 1, toDateTime64(0, 3, 'UTC')) OVER about AS before,
           leadInFrame(at, 1, toDateTime64(0, 3, 'UTC')) OVER about AS again
    FROM
    (
        SELECT customer_id, said.contact_id AS contact_id, min(occurred_at) AS at,
               argMin((toString(channel), said.topic, order_id), occurred_at) AS called,
               -- A contact that names neither has nothing in common with any other.
               arrayJoin(arrayDistinct(arrayMap(
                   named -> if(named.2 = '', ('contact', contact_id), named), [('order', called.3), ('topic', called.2)]))) AS subject
        FROM
        (
            SELECT customer_id, occurred_at, channel, order_id,
                   JSONExtract(properties, 'Tuple(contact_id String, topic String)') AS said
            FROM journeys.touchpoints FINAL
            WHERE type = 'contact_started'
              AND occurred_at >= {since:DateTime64(3, 'UTC')} - toIntervalDay({window_days:UInt16})
              AND occurred_at < {until:DateTime64(3, 'UTC')}
        )
        GROUP BY customer_id, contact_id
    )
    WINDOW about AS (PARTITION BY customer_id, subject ORDER BY at, contact_id
                     ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
)
WHERE at >= {since:DateTime64(3, 'UTC')}
GROUP BY customer_id, contact_id, at
COMMENT 'Contacts started from since to before until, and whether the same order or topic was asked about within window_days.
Parameters: since, until, window_days.
Columns: customer_id, contact_id, started_at, channel, topic, order_id, names_problem (an order or a topic), asked_before, asked_again, window_passed
(all of the days after it lie before until)';

CREATE OR REPLACE VIEW analytics.first_contact_resolution
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT channel, countIf(is_first) AS first_contacts, countIf(is_first AND NOT asked_again) AS solved_contacts,
       solved_contacts / nullIf(first_contacts, 0) AS first_contact_resolution_share,
       countIf(NOT window_passed AND names_problem AND NOT asked_before) AS undecided_contacts,
       countIf(NOT names_problem) AS nameless_contacts
FROM
(
    SELECT *, window_passed AND names_problem AND NOT asked_before AS is_first
    FROM analytics.contacts_by_problem(
        since = {since:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')}, window_days = {window_days:UInt16})
)
GROUP BY channel
COMMENT 'First contacts about an order or topic with no other about it within window_days, by channel; no survey.
Parameters: since, until, window_days.
Columns: channel, first_contacts, solved_contacts, first_contact_resolution_share (0 to 1), undecided_contacts (window not over at until: in neither),
nameless_contacts (no order, no topic: in neither)';

CREATE OR REPLACE VIEW analytics.repeat_contacts
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT topic, count() AS contacts, countIf(asked_before) AS repeats, repeats / nullIf(contacts, 0) AS repeat_share
FROM analytics.contacts_by_problem(
    since = {since:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')}, window_days = {window_days:UInt16})
GROUP BY topic
COMMENT 'Contacts with another about the same order or topic in the window_days before them, by topic.
Parameters: since, until, window_days.
Columns: topic, contacts (nameless ones too), repeats, repeat_share (0 to 1)';

CREATE OR REPLACE VIEW analytics.wismo
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT toDate(occurred_at, 'UTC') AS day, countIf(type = 'order_status_viewed') AS status_views,
       uniqExactIf((customer_id, contact_id), type = 'contact_started' AND topic = 'delivery') AS wismo_contacts,
       uniqExactIf((customer_id, contact_id), type = 'contact_started') AS contacts,
       wismo_contacts / nullIf(contacts, 0) AS wismo_contact_share,
       (status_views + wismo_contacts) / nullIf(contacts, 0) AS wismo_per_contact
FROM
(
    SELECT customer_id, occurred_at, type, said.contact_id AS contact_id, said.topic AS topic
    FROM
    (
        SELECT customer_id, occurred_at, type, JSONExtract(properties, 'Tuple(contact_id String, topic String)') AS said
        FROM journeys.touchpoints FINAL
        WHERE type IN ('order_status_viewed', 'contact_started')
          AND occurred_at >= {since:DateTime64(3, 'UTC')} AND occurred_at < {until:DateTime64(3, 'UTC')}
    )
)
GROUP BY day
COMMENT 'Where is my order: looks at its status, and contacts with topic delivery (as in rule wismo).
Parameters: since, until.
Columns: day (UTC), status_views, wismo_contacts, contacts, wismo_contact_share (0 to 1), wismo_per_contact (views and such contacts per contact, may
exceed 1)';

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
    FROM analytics.orders
    WHERE (customer_id, order_id) IN
    (
        SELECT customer_id, subject FROM analytics.promises
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

CREATE OR REPLACE VIEW analytics.service_level
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT channel, count() AS offered, countIf(wait IS NOT NULL) AS answered,
       countIf(wait <= {threshold_seconds:Float64}) AS answered_in_time,
       countIf(patience >= {short_abandon_seconds:Float64}) AS abandoned,
       countIf(patience < {short_abandon_seconds:Float64}) AS short_abandoned,
       offered - answered - abandoned - short_abandoned AS undecided,
       answered_in_time / nullIf(answered + abandoned, 0) AS service_level_share,
       abandoned / nullIf(answered + abandoned, 0) AS abandonment_share,
       if(answered = 0, NULL, sum(wait) / answered) AS average_speed_of_answer_seconds
FROM
(
    SELECT channel, if({answered_by:String} = 'human', human_wait_seconds, wait_seconds) AS wait,
           if({answered_by:String} = 'human', answered_by_human_at, answered_at) IS NULL AS is_unanswered,
           if(is_unanswered, dateDiff('millisecond', started_at, abandoned_at) / 1000, NULL) AS patience
    FROM analytics.contacts_between(since = {since:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')})
    WHERE started_at IS NOT NULL
)
GROUP BY channel
COMMENT 'Contacts started from since to before until, as known at until, by channel.
Parameters: since, until, threshold_seconds, short_abandon_seconds, answered_by (human or any).
Columns: channel, offered, answered, answered_in_time (within threshold_seconds), abandoned (unanswered, after short_abandon_seconds or more),
short_abandoned (sooner: in no share), undecided (still waiting, ended without such an answer, or clocks contradict: in no share), service_level_share
(answered_in_time of answered and abandoned, 0 to 1), abandonment_share (abandoned of the same), average_speed_of_answer_seconds';

CREATE OR REPLACE VIEW analytics.wait_quantiles
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
WITH quantilesExactInclusive(0.5, 0.9, 0.95, 0.99)(seconds) AS of_waits
SELECT kind, store_id, channel, count(seconds) AS answered, count() - answered AS unanswered, countIf(gave_up) AS gave_up_waits,
       if(answered = 0, NULL, of_waits[1]) AS p50_seconds, if(answered = 0, NULL, of_waits[2]) AS p90_seconds,
       if(answered = 0, NULL, of_waits[3]) AS p95_seconds, if(answered = 0, NULL, of_waits[4]) AS p99_seconds,
       max(seconds) AS max_seconds
FROM
(
    SELECT kind, store_id, channel, seconds, gave_up
    FROM analytics.waits_between(since = {since:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')})
)
GROUP BY kind, store_id, channel
COMMENT 'Waits that began from since to before until, as known at until.
Parameters: since, until.
Columns: kind, store_id, channel, answered, unanswered (not in the quantiles), gave_up_waits (of the unanswered), p50_seconds, p90_seconds,
p95_seconds, p99_seconds (interpolated; NULL if none was answered), max_seconds';

CREATE OR REPLACE VIEW analytics.complaint_cycle
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT toMonday(opened_at, 'UTC') AS week, count() AS opened, countIf(resolved_at IS NOT NULL) AS resolved,
       opened - resolved AS unresolved, countIf(first_resolved_at IS NOT NULL) AS ever_resolved,
       countIf(first_resolved_at IS NOT NULL AND reopened > 0) AS reopened_cases,
       reopened_cases / nullIf(ever_resolved, 0) AS reopen_share,
       if(resolved = 0, NULL, quantileExactInclusive(0.5)(hours_to_resolve)) AS median_hours_to_resolve,
       if(resolved = 0, NULL, quantileExactInclusive(0.9)(hours_to_resolve)) AS p90_hours_to_resolve
FROM analytics.complaints
WHERE customer_id IN
(
    SELECT customer_id FROM journeys.touchpoints FINAL
    WHERE type = 'complaint_opened'
      AND occurred_at >= {since:DateTime64(3, 'UTC')} AND occurred_at < {until:DateTime64(3, 'UTC')}
)
  AND opened_at >= {since:DateTime64(3, 'UTC')} AND opened_at < {until:DateTime64(3, 'UTC')}
GROUP BY week
COMMENT 'Complaint cases first opened from since to before until, by week, as known now.
Parameters: since, until.
Columns: week (its Monday, UTC), opened, resolved (and not opened again), unresolved, ever_resolved, reopened_cases (of ever_resolved), reopen_share
(0 to 1), median_hours_to_resolve, p90_hours_to_resolve (to the settlement that held)';

CREATE OR REPLACE VIEW analytics.stock_accuracy
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT store_id, sku, count() AS shown, countIf(looked_at <= at + INTERVAL 24 HOUR) AS met,
       countIf(missed_at <= at + INTERVAL 24 HOUR) AS contradicted,
       contradicted / shown AS contradicted_share, contradicted / nullIf(met, 0) AS contradicted_of_met_share
FROM
(
    -- Backwards in time, so that the smallest so far is what comes next; peers of one moment are in the frame too.
    SELECT store_id, said.sku AS sku, at, is_shown,
           minIfOrNull(at, NOT is_shown) OVER backwards AS looked_at,
           minIfOrNull(at, NOT is_shown AND is_missing) OVER backwards AS missed_at
    FROM
    (
        SELECT occurred_at AS at, type = 'stock_shown' AS is_shown, type = 'item_unavailable' OR NOT said.in_stock AS is_missing,
               JSONExtract(properties, 'Tuple(sku String, store_id String, in_stock Bool)') AS said,
               if(said.store_id != '', said.store_id, toString(t.store_id)) AS store_id
        FROM journeys.touchpoints AS t FINAL
        WHERE type IN ('stock_shown', 'stock_checked', 'item_unavailable')
          AND occurred_at >= {since:DateTime64(3, 'UTC')} AND occurred_at < {until:DateTime64(3, 'UTC')}
    )
    WHERE store_id != '' AND NOT (is_shown AND is_missing)
    WINDOW backwards AS (PARTITION BY store_id, sku ORDER BY at DESC RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
)
WHERE is_shown AND at + INTERVAL 24 HOUR < {until:DateTime64(3, 'UTC')}
GROUP BY store_id, sku
COMMENT 'What the site said to be in a store, against what customers met there within 24 hours, any customer.
Parameters: since, until.
Columns: store_id, sku, shown (in stock there, by name of store; its 24 hours lie before until), met (of these: somebody looked), contradicted (of
these: it was not there), contradicted_share (of shown, 0 to 1), contradicted_of_met_share (of met)';

CREATE OR REPLACE VIEW analytics.surveys
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT week, metric, countIf(is_valid) AS answers, countIf(NOT is_valid) AS out_of_scale_answers,
       countIf(is_valid AND score >= good_from) AS good_answers, countIf(is_valid AND score <= bad_until) AS bad_answers,
       good_answers / nullIf(answers, 0) AS good_share,
       if(metric = 'nps', 100 * (good_answers - bad_answers) / nullIf(answers, 0), NULL) AS nps_points,
       if(answers = 0, NULL, avgIf(score, is_valid)) AS mean_score
FROM
(
    SELECT toMonday(occurred_at, 'UTC') AS week, said.metric AS metric, said.score AS score,
           transform(metric, ['csat', 'ces'], [4., 5.], 9.) AS good_from, transform(metric, ['csat', 'ces'], [2., 3.], 6.) AS bad_until,
           transform(metric, ['csat', 'ces'], [5., 7.], 10.) AS top,
           -- A score on another scale, 80 of 100 say, means nothing on this one.
           ifNull(score >= if(metric = 'nps', 0, 1) AND score <= top AND ifNull(said.scale, top) = top, false) AS is_valid
    FROM
    (
        SELECT occurred_at, JSONExtract(properties, 'Tuple(metric String, score Nullable(Float64), scale Nullable(Float64))') AS said
        FROM journeys.touchpoints FINAL
        WHERE type = 'survey_answered'
          AND occurred_at >= {since:DateTime64(3, 'UTC')} AND occurred_at < {until:DateTime64(3, 'UTC')}
    )
)
GROUP BY week, metric
COMMENT 'Survey answers by week and metric: CSAT 1 to 5, CES 1 to 7, NPS 0 to 10.
Parameters: since, until.
Columns: week (its Monday, UTC), metric, answers, out_of_scale_answers (score, or property scale, is of another scale: in nothing else), good_answers
(CSAT 4-5, CES 5-7, NPS 9-10), bad_answers (CSAT 1-2, CES 1-3, NPS 0-6), good_share (0 to 1; for csat this is the CSAT), nps_points (-100 to 100; NULL
but for nps), mean_score';
