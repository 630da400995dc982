ALTER TABLE journeys.alerts
    ADD COLUMN IF NOT EXISTS kind LowCardinality(String) DEFAULT 'friction' COMMENT 'friction, delight, opportunity or source' AFTER detected_at,
    ADD COLUMN IF NOT EXISTS change LowCardinality(String) DEFAULT if(status = 'open', 'opened', status) COMMENT 'what this state adds to the one before: opened, updated, escalated, resolved or withdrawn' AFTER kind,
    ADD COLUMN IF NOT EXISTS limit_at DateTime64(3, 'UTC') COMMENT 'clock value by which all would have been well; 1970-01-01 if there is none' AFTER change,
    ADD COLUMN IF NOT EXISTS silent_if_en String COMMENT 'smallest change that would have kept the rule silent, in English' AFTER limit_at,
    ADD COLUMN IF NOT EXISTS silent_if_he String COMMENT 'the same in Hebrew' AFTER silent_if_en,
    ADD COLUMN IF NOT EXISTS withdrawn_because LowCardinality(String) COMMENT 'late_data, corrected, rule_changed or merged; empty unless withdrawn' AFTER silent_if_he,
    ADD COLUMN IF NOT EXISTS affected_customers Nullable(UInt32) COMMENT 'how many customers share the problem; NULL if not counted' AFTER withdrawn_because,
    MODIFY COLUMN unit COMMENT 'what threshold and actual count: seconds, contacts and others';

ALTER TABLE journeys.alerts MODIFY COMMENT 'episodes of friction, delight, opportunity and silent sources; read them through analytics.alerts';

ALTER TABLE journeys.journeys
    ADD COLUMN IF NOT EXISTS delight UInt32 COMMENT 'delight episodes, withdrawn ones not counted' AFTER friction,
    ADD COLUMN IF NOT EXISTS experience Float32 COMMENT 'how the journey felt, 0 (bad) to 100 (good)' AFTER delight,
    ADD COLUMN IF NOT EXISTS effort Float32 COMMENT 'how much the customer had to do, 0 (little) to 100 (much)' AFTER experience,
    ADD COLUMN IF NOT EXISTS experience_parts Map(LowCardinality(String), Float32) COMMENT 'what experience is made of, points by part' AFTER effort,
    ADD COLUMN IF NOT EXISTS effort_parts Map(LowCardinality(String), Float32) COMMENT 'what effort is made of, points by part' AFTER experience_parts;

ALTER TABLE journeys.promises
    ADD COLUMN IF NOT EXISTS responsible LowCardinality(String) COMMENT 'who was late with it: carrier, warehouse, store, support or messaging; empty unless late or broken' AFTER status,
    ADD COLUMN IF NOT EXISTS parcels UInt16 COMMENT 'parcels of a split order as last said; 0 if nobody said' AFTER responsible,
    ADD COLUMN IF NOT EXISTS parcels_delivered UInt16 COMMENT 'of these: delivered' AFTER parcels,
    MODIFY COLUMN kind COMMENT 'delivery, callback, refund, hold, complaint or restock';

CREATE TABLE IF NOT EXISTS journeys.facts
(
    source        LowCardinality(String) COMMENT 'web, store, support, delivery, messaging or feedback',
    event_id      String COMMENT 'the source''s own id; (source, event_id) identifies a fact',
    type          LowCardinality(String) COMMENT 'restocked, stock_level or source_heartbeat',
    occurred_at   DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'when it became true',
    sku           String COMMENT 'product; empty if it is about none',
    store_id      LowCardinality(String) COMMENT 'empty if it is about no single store',
    quantity      Nullable(Int64) COMMENT 'how many there are; NULL if not said',
    properties    String CODEC(ZSTD(3)) COMMENT 'JSON object as it came',
    received_at   DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'when it reached the door',
    _topic        LowCardinality(String) COMMENT 'Kafka topic it was read from',
    _partition    UInt16 COMMENT 'Kafka partition it was read from',
    _offset       UInt64 COMMENT 'Kafka offset it was read from',
    _ingested_at  DateTime64(3, 'UTC') COMMENT 'when this row was written',
    _version      UInt64 COMMENT 'earlier received beats later'
)
ENGINE = ReplacingMergeTree(_version)
PARTITION BY toYYYYMM(occurred_at)
ORDER BY (type, sku, store_id, occurred_at, source, event_id)
COMMENT 'what concerns no single customer; read it through analytics.facts';

CREATE TABLE IF NOT EXISTS journeys.alert_actions
(
    action_id     UUID COMMENT 'names the action; the same id again is the same action',
    episode_id    Nullable(UUID) COMMENT 'episode it is about; NULL for a silence by matcher',
    action        LowCardinality(String) COMMENT 'ack, unack, assign, note, resolve, reopen, silence or unsilence',
    by            String COMMENT 'who did it',
    note          String COMMENT 'what they had to say; may be empty',
    assignee      String COMMENT 'who was given the episode; empty takes it from everybody',
    rule          LowCardinality(String) COMMENT 'of a silence: rule that it matches; empty for any',
    customer_id   String COMMENT 'of a silence: customer that it matches; empty for any',
    store_id      LowCardinality(String) COMMENT 'of a silence: store that it matches; empty for any',
    subject       String COMMENT 'of a silence: subject that it matches; empty for any',
    until         DateTime64(3, 'UTC') COMMENT 'of a silence: when it ends by itself; 1970-01-01 otherwise',
    acted_at      DateTime64(3, 'UTC') COMMENT 'when they did it',
    _ingested_at  DateTime64(3, 'UTC') COMMENT 'when this row was written'
)
ENGINE = ReplacingMergeTree(_ingested_at)
ORDER BY action_id
COMMENT 'what people did about alerts; read it through analytics.alert_actions';

CREATE OR REPLACE VIEW analytics.journeys
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT customer_id, journey_id, started_at, ended_at, status, outcome, touchpoints, sources, stages, channels, path,
       contacts, orders, promises, promises_open, promises_kept, promises_late, promises_broken,
       queue_wait_seconds, contact_wait_seconds, delivery_deviation_seconds, friction,
       delight, experience, effort, experience_parts, effort_parts
FROM journeys.journeys FINAL
COMMENT 'one row per journey, deduplicated';

CREATE OR REPLACE VIEW analytics.promises
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT customer_id, promise_id, journey_id, kind, subject, requested_at, first_promised_at, latest_promised_at,
       nullIf(settled_at, toDateTime64(0, 3, 'UTC')) AS settled_at, status, responsible, parcels, parcels_delivered
FROM journeys.promises FINAL
COMMENT 'one row per promise, deduplicated';

CREATE OR REPLACE VIEW analytics.facts
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT type, sku, store_id, occurred_at, quantity, source, event_id, properties, received_at
FROM journeys.facts FINAL
COMMENT 'one row per fact, deduplicated';

CREATE OR REPLACE VIEW analytics.alert_actions
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT action_id, episode_id, action, by, note, assignee, rule, customer_id, store_id, subject,
       nullIf(until, toDateTime64(0, 3, 'UTC')) AS until, acted_at
FROM journeys.alert_actions FINAL
COMMENT 'one row for each thing that somebody did about an alert';

CREATE OR REPLACE VIEW analytics.silences
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT silence_id, episode_id, rule, customer_id, store_id, subject, by, note, silenced_at,
       least(said_until, ended_at) AS until
FROM
(
    SELECT action_id AS silence_id, episode_id, action, rule, customer_id, store_id, subject, by, note,
           acted_at AS silenced_at, until AS said_until,
           leadInFrame(acted_at, 1, toDateTime64('2299-12-31 00:00:00', 3, 'UTC')) OVER
           (
               PARTITION BY episode_id, rule, customer_id, store_id, subject ORDER BY acted_at, toString(action_id)
               ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING
           ) AS ended_at
    FROM journeys.alert_actions FINAL
    WHERE action IN ('silence', 'unsilence')
)
WHERE action = 'silence'
COMMENT 'one row per silence and when it ended or will; the next one for the same matchers takes its place';

-- An alert is looked up under each combination of fields that any silence names: what that costs does not grow with the
-- number of silences, as comparing it with each of them would. Those of one key follow one another, so a moment lies in
-- one of them when the number of their beginnings and ends up to then is odd.
CREATE OR REPLACE VIEW analytics.alerts
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
WITH (
    SELECT (groupArray(key), groupArray(turns), groupUniqArray(named)) FROM
    (
        SELECT concatWithSeparator('\x1f', ifNull(toString(episode_id), ''), rule, customer_id, store_id, subject) AS key,
               (episode_id IS NOT NULL, rule != '', customer_id != '', store_id != '', subject != '') AS named,
               arrayStringConcat(arrayConcat(
                   groupArray(toUnixTimestamp64Milli(silenced_at)), groupArray(toUnixTimestamp64Milli(until))), ',') AS turns
        FROM analytics.silences
        GROUP BY key, named
    )
) AS silences
SELECT a.customer_id AS customer_id, a.episode_id AS episode_id, a.journey_id AS journey_id, a.rule AS rule,
       a.rule_version AS rule_version, a.severity AS severity, a.status AS status, a.subject AS subject,
       a.opened_at AS opened_at, a.last_seen_at AS last_seen_at,
       nullIf(a.resolved_at, toDateTime64(0, 3, 'UTC')) AS resolved_at,
       a.threshold AS threshold, a.actual AS actual, a.unit AS unit, a.title_en AS title_en, a.title_he AS title_he,
       a.reason_en AS reason_en, a.reason_he AS reason_he, a.advice_en AS advice_en, a.advice_he AS advice_he,
       a.store_id AS store_id, a.evidence AS evidence, a.detected_at AS detected_at,
       a.kind AS kind, a.change AS change, nullIf(a.limit_at, toDateTime64(0, 3, 'UTC')) AS limit_at,
       a.silent_if_en AS silent_if_en, a.silent_if_he AS silent_if_he, a.withdrawn_because AS withdrawn_because,
       a.affected_customers AS affected_customers,
       if(h.acknowledgement.1 = 'ack', h.acknowledgement.2, '') AS acknowledged_by,
       if(h.acknowledgement.1 = 'ack', h.acknowledgement.3, NULL) AS acknowledged_at,
       h.assigned_to AS assigned_to,
       if(h.resolution.1 = 'resolve', h.resolution.2, '') AS human_resolved_by,
       if(h.resolution.1 = 'resolve', h.resolution.3, NULL) AS human_resolved_at,
       h.notes AS notes,
       toBool(arrayExists(
           turns -> turns != '' AND arrayExists(
               moment -> arrayCount(turn -> toInt64OrZero(turn) <= moment, splitByChar(',', turns)) % 2 = 1,
               [toUnixTimestamp64Milli(now64(3, 'UTC')), toUnixTimestamp64Milli(a.resolved_at)]),
           arrayMap(
               named -> transform(
                   concatWithSeparator('\x1f', if(named.1, toString(a.episode_id), ''), if(named.2, a.rule, ''),
                       if(named.3, a.customer_id, ''), if(named.4, a.store_id, ''), if(named.5, a.subject, '')),
                   silences.1, silences.2, ''),
               silences.3)
       )) AS silenced,
       multiIf(a.status = 'withdrawn', 'withdrawn', h.resolution.1 = 'resolve', 'resolved', a.status) AS effective_status
FROM (SELECT * FROM journeys.alerts FINAL) AS a
LEFT ANY JOIN
(
    SELECT episode_id,
           argMaxIf((action, by, acted_at), (acted_at, toString(action_id)), action IN ('ack', 'unack')) AS acknowledgement,
           argMaxIf(assignee, (acted_at, toString(action_id)), action = 'assign') AS assigned_to,
           argMaxIf((action, by, acted_at), (acted_at, toString(action_id)), action IN ('resolve', 'reopen')) AS resolution,
           arrayMap(x -> x.3, arraySort(groupArrayIf((acted_at, toString(action_id), note), note != ''))) AS notes
    FROM journeys.alert_actions FINAL
    WHERE episode_id IS NOT NULL
    GROUP BY episode_id
) AS h ON a.episode_id = h.episode_id
SETTINGS join_use_nulls = 0
COMMENT 'one row per episode, deduplicated, with what people did about it; withdrawn ones are kept with that status';

CREATE TABLE IF NOT EXISTS journeys.interest
(
    sku           String COMMENT 'product; empty for what ends interest in any product',
    customer_id   String COMMENT 'resolved customer',
    kind          LowCardinality(String) COMMENT 'cart, order, hold or wish; held: touchpoint of a hold; bought and settled: what ends carts and orders',
    id            String COMMENT 'source/event_id of the touchpoint, or the promise''s id',
    at            DateTime64(3, 'UTC') COMMENT 'when it happened or was asked for',
    store_id      LowCardinality(String) COMMENT 'empty if none',
    order_id      String COMMENT 'empty if none',
    quantity      Int64 COMMENT 'of a cart: how many; of a hold or wish: 1 while it is owed, then 0',
    _version      UInt64 COMMENT 'version of the row that it was made from',
    _ingested_at  DateTime64(3, 'UTC') COMMENT 'when that row was written'
)
ENGINE = ReplacingMergeTree(_version)
ORDER BY (sku, customer_id, kind, id)
TTL toDateTime(at) + INTERVAL 62 DAY DELETE WHERE kind NOT IN ('hold', 'wish')
COMMENT 'what touchpoints and promises say of products, by product; read it through analytics.open_interest';

CREATE MATERIALIZED VIEW IF NOT EXISTS journeys.interest_of_touchpoints TO journeys.interest AS
SELECT arrayJoin(multiIf(
           type IN ('cart_updated', 'hold_created'), [JSONExtractString(properties, 'sku')],
           type = 'order_placed', arrayConcat(
               ['', JSONExtractString(properties, 'sku')], JSONExtract(properties, 'skus', 'Array(String)')),
           [''])) AS sku,
       customer_id,
       multiIf(sku != '', transform(type, ['cart_updated', 'hold_created'], ['cart', 'held'], 'order'),
               type IN ('order_placed', 'purchased'), 'bought', 'settled') AS kind,
       concat(source, '/', event_id) AS id, occurred_at AS at, store_id, order_id,
       if(kind = 'cart', JSONExtractInt(properties, 'quantity'), 1) AS quantity, _version, _ingested_at
FROM journeys.touchpoints
WHERE type IN ('cart_updated', 'hold_created', 'order_placed', 'purchased',
               'delivered', 'picked_up', 'returned', 'parcel_returned')
  AND occurred_at > now64(3, 'UTC') - INTERVAL 60 DAY AND NOT _is_deleted;

CREATE MATERIALIZED VIEW IF NOT EXISTS journeys.interest_of_promises TO journeys.interest AS
WITH if(p.kind = 'restock', splitByChar('@', p.subject), [p.subject]) AS parts, length(parts) > 1 AS names_store
SELECT if(names_store, arrayStringConcat(arrayPopBack(parts), '@'), p.subject) AS sku, p.customer_id AS customer_id,
       if(p.kind = 'hold', 'hold', 'wish') AS kind, toString(p.promise_id) AS id, p.requested_at AS at,
       if(names_store, parts[-1], '') AS store_id, '' AS order_id,
       toInt64(p.status IN ('open', 'broken')) AS quantity, p._version AS _version, p._ingested_at AS _ingested_at
FROM journeys.promises AS p
WHERE p.kind IN ('hold', 'restock');

-- Written once more as they are, so that the views above see what was there before them.
INSERT INTO journeys.touchpoints SELECT * FROM journeys.touchpoints
WHERE occurred_at > now64(3, 'UTC') - INTERVAL 60 DAY
  AND type IN ('cart_updated', 'hold_created', 'order_placed', 'purchased',
               'delivered', 'picked_up', 'returned', 'parcel_returned');

INSERT INTO journeys.promises SELECT * FROM journeys.promises WHERE kind IN ('hold', 'restock');

CREATE OR REPLACE VIEW analytics.open_interest
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
WITH retracted AS
(
    SELECT customer_id, concat(source, '/', event_id) AS id, max(_version) AS version FROM journeys.touchpoints
    WHERE _is_deleted AND occurred_at > now64(3, 'UTC') - INTERVAL 60 DAY
    GROUP BY customer_id, id
    UNION ALL
    SELECT customer_id, toString(promise_id) AS id, max(_version) AS version FROM journeys.promises
    WHERE _is_deleted
    GROUP BY customer_id, id
),
stated AS
(
    SELECT i.sku AS sku, i.customer_id AS customer_id, i.kind AS kind, i.at AS at, i.store_id AS store_id,
           i.order_id AS order_id, i.quantity AS quantity
    FROM (SELECT * FROM journeys.interest FINAL WHERE sku != '') AS i
    LEFT ANY JOIN retracted AS r ON i.customer_id = r.customer_id AND i.id = r.id
    WHERE r.version < i._version
)
SELECT c.customer_id AS customer_id, c.sku AS sku, c.last.2 AS store_id, 'cart' AS kind, c.last.1 AS since, '' AS order_id
FROM
(
    SELECT customer_id, sku, max((at, store_id, quantity)) AS last FROM stated
    WHERE kind = 'cart' AND at > now64(3, 'UTC') - INTERVAL 14 DAY
    GROUP BY customer_id, sku
) AS c
LEFT ANY JOIN
(
    SELECT customer_id, max(at) AS bought_at FROM journeys.interest FINAL
    WHERE sku = '' AND kind = 'bought' AND at > now64(3, 'UTC') - INTERVAL 14 DAY
    GROUP BY customer_id
) AS b ON c.customer_id = b.customer_id
WHERE c.last.3 > 0 AND b.bought_at <= c.last.1
UNION ALL
SELECT o.customer_id, o.sku, o.first.2, 'order', o.first.1, o.order_id
FROM
(
    SELECT customer_id, sku, order_id, min((at, store_id)) AS first FROM stated
    WHERE kind = 'order' AND order_id != '' AND at > now64(3, 'UTC') - INTERVAL 60 DAY
    GROUP BY customer_id, sku, order_id
) AS o
LEFT ANTI JOIN
(
    SELECT customer_id, order_id FROM journeys.interest FINAL WHERE sku = '' AND kind = 'settled' AND order_id != ''
) AS s ON o.customer_id = s.customer_id AND o.order_id = s.order_id
UNION ALL
SELECT p.customer_id, p.sku, if(p.kind = 'hold', h.store_id, p.store_id), p.kind, p.at, ''
FROM (SELECT * FROM stated WHERE kind IN ('hold', 'wish') AND quantity > 0) AS p
LEFT ANY JOIN (SELECT sku, customer_id, at, store_id FROM stated WHERE kind = 'held') AS h
    ON p.sku = h.sku AND p.customer_id = h.customer_id AND p.at = h.at
SETTINGS join_use_nulls = 0
COMMENT 'who holds a cart, a hold, a wish or an open order on a product now; quick with a filter on sku';
