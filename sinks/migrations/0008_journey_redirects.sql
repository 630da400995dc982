CREATE TABLE IF NOT EXISTS journeys.journey_redirects
(
    journey_id   UUID COMMENT 'id of a journey that is no more: it has become part of another',
    customer_id  String COMMENT 'whose it was',
    occurred_at  DateTime64(3, 'UTC') COMMENT 'when its first touchpoint happened',
    source       LowCardinality(String) COMMENT 'source of its first touchpoint',
    event_id     String COMMENT 'event id of its first touchpoint: where that is now, the journey is',
    _ingested_at DateTime64(3, 'UTC') COMMENT 'when this row was written'
)
ENGINE = ReplacingMergeTree(_ingested_at)
ORDER BY journey_id
COMMENT 'former journey ids; read them through analytics.journey_redirects';

CREATE OR REPLACE VIEW analytics.touchpoints
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT t.customer_id AS customer_id, t.occurred_at AS occurred_at, t.source AS source, t.event_id AS event_id, t.type AS type,
       t.stage AS stage, t.channel AS channel, t.order_id AS order_id, t.case_id AS case_id, t.store_id AS store_id,
       t.agent_id AS agent_id, t.identifiers AS identifiers, t.properties AS properties, t.received_at AS received_at,
       t.occurred_at_original AS occurred_at_original, t.late AS late,
       j.journey_id AS journey_id, t.via AS via
FROM (SELECT * FROM journeys.touchpoints FINAL) AS t
LEFT ANY JOIN (SELECT customer_id, journey_id, started_at, ended_at FROM journeys.journeys FINAL) AS j
    ON t.customer_id = j.customer_id AND t.occurred_at >= j.started_at AND t.occurred_at <= j.ended_at AND NOT t.late
       AND t.type != 'customers_merged'
SETTINGS join_use_nulls = 0
COMMENT 'one row per touchpoint with the journey it belongs to (all zeros: none)';

CREATE OR REPLACE VIEW analytics.journey_redirects
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT r.journey_id AS former_journey_id, r.customer_id AS former_customer_id, t.customer_id AS customer_id,
       j.journey_id AS journey_id
FROM (SELECT customer_id, occurred_at, source, event_id FROM journeys.touchpoints FINAL WHERE NOT late) AS t
INNER JOIN (SELECT * FROM journeys.journey_redirects FINAL) AS r
    ON t.occurred_at = r.occurred_at AND t.source = r.source AND t.event_id = r.event_id
INNER JOIN (SELECT customer_id, journey_id, started_at, ended_at FROM journeys.journeys FINAL) AS j
    ON t.customer_id = j.customer_id AND t.occurred_at >= j.started_at AND t.occurred_at <= j.ended_at
WHERE r.journey_id != j.journey_id
COMMENT 'former journey ids, and the journey that each has become part of';
