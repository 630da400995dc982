CREATE VIEW IF NOT EXISTS analytics.journeys
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT customer_id, journey_id, started_at, ended_at, status, outcome, touchpoints, sources, stages, channels, path,
       contacts, orders, promises, promises_open, promises_kept, promises_late, promises_broken,
       queue_wait_seconds, contact_wait_seconds, delivery_deviation_seconds, friction
FROM journeys.journeys FINAL
COMMENT 'one row per journey, deduplicated';

CREATE VIEW IF NOT EXISTS analytics.touchpoints
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT t.customer_id AS customer_id, t.occurred_at AS occurred_at, t.source AS source, t.event_id AS event_id, t.type AS type,
       t.stage AS stage, t.channel AS channel, t.order_id AS order_id, t.case_id AS case_id, t.store_id AS store_id,
       t.agent_id AS agent_id, t.identifiers AS identifiers, t.properties AS properties, t.received_at AS received_at,
       t.occurred_at_original AS occurred_at_original, t.late AS late,
       j.journey_id AS journey_id
FROM (SELECT * FROM journeys.touchpoints FINAL) AS t
LEFT ANY JOIN (SELECT customer_id, journey_id, started_at, ended_at FROM journeys.journeys FINAL) AS j
    ON t.customer_id = j.customer_id AND t.occurred_at >= j.started_at AND t.occurred_at <= j.ended_at AND NOT t.late
SETTINGS join_use_nulls = 0
COMMENT 'one row per touchpoint with the journey it belongs to (all zeros: none)';

CREATE VIEW IF NOT EXISTS analytics.promises
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT customer_id, promise_id, journey_id, kind, subject, requested_at, first_promised_at, latest_promised_at,
       nullIf(settled_at, toDateTime64(0, 3, 'UTC')) AS settled_at, status
FROM journeys.promises FINAL
COMMENT 'one row per promise, deduplicated';

CREATE VIEW IF NOT EXISTS analytics.alerts
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT customer_id, episode_id, journey_id, rule, rule_version, severity, status, subject, opened_at, last_seen_at,
       nullIf(resolved_at, toDateTime64(0, 3, 'UTC')) AS resolved_at, threshold, actual, unit,
       title_en, title_he, reason_en, reason_he, advice_en, advice_he, store_id, evidence, detected_at
FROM journeys.alerts FINAL
COMMENT 'one row per friction episode, deduplicated; withdrawn ones are kept with that status';
