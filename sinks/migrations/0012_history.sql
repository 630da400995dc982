-- Rows of the tables behind these are merged away once a newer version is there. Here nothing is replaced: what ops could see
-- at a moment stays answerable. Rows come in with each insert into the base tables, so that no writer has to know of it.
CREATE TABLE IF NOT EXISTS journeys.alert_history
(
    customer_id        String COMMENT 'resolved customer',
    episode_id         UUID COMMENT 'UUIDv5 of rule, customer and the problem''s subject',
    journey_id         UUID COMMENT 'journey in which it began',
    rule               LowCardinality(String) COMMENT 'rule that found it',
    rule_version       UInt16 COMMENT 'version of that rule',
    kind               LowCardinality(String) COMMENT 'friction, delight, opportunity or source',
    severity           LowCardinality(String) COMMENT 'info, warning or critical',
    status             LowCardinality(String) COMMENT 'open, resolved or withdrawn',
    change             LowCardinality(String) COMMENT 'what this state adds to the one before: opened, updated, escalated, resolved or withdrawn',
    subject            String COMMENT 'order, queue, contact or topic it is about',
    store_id           LowCardinality(String) COMMENT 'store it happened in; empty if none',
    opened_at          DateTime64(3, 'UTC') COMMENT 'when the rule''s condition became true',
    last_seen_at       DateTime64(3, 'UTC') COMMENT 'last touchpoint or due time that belongs to it',
    resolved_at        DateTime64(3, 'UTC') COMMENT '1970-01-01 while open',
    threshold          Float64 COMMENT 'what the rule allows, in its own unit',
    actual             Float64 COMMENT 'what was found, in the same unit',
    unit               LowCardinality(String) COMMENT 'what threshold and actual count: seconds, contacts and others',
    affected_customers Nullable(UInt32) COMMENT 'how many customers share the problem; NULL if not counted',
    withdrawn_because  LowCardinality(String) COMMENT 'late_data, corrected, rule_changed or merged; empty unless withdrawn',
    _ingested_at       DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'when this state was written: from then on it could be seen',
    _version           UInt64 COMMENT 'epoch * 2^32 + flush number',
    _is_deleted        UInt8 COMMENT '1: retracted'
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(_ingested_at)
ORDER BY (customer_id, episode_id, _version)
TTL toDateTime(_ingested_at) + INTERVAL 3 YEAR
COMMENT 'every state of an episode as it was written; kept for 3 years (change: MODIFY TTL); read it through analytics.alert_history';

CREATE TABLE IF NOT EXISTS journeys.journey_history
(
    customer_id     String COMMENT 'resolved customer',
    journey_id      UUID COMMENT 'UUIDv5 of customer and first touchpoint',
    started_at      DateTime64(3, 'UTC') COMMENT 'first touchpoint',
    ended_at        DateTime64(3, 'UTC') COMMENT 'last touchpoint so far',
    status          LowCardinality(String) COMMENT 'open or closed',
    outcome         LowCardinality(String) COMMENT 'converted, abandoned, resolved, unresolved, returned or browsing',
    touchpoints     UInt32 COMMENT 'number of touchpoints',
    contacts        UInt32 COMMENT 'support contacts started',
    orders          UInt32 COMMENT 'orders and till purchases',
    promises        UInt32 COMMENT 'promises made to the customer',
    promises_open   UInt32 COMMENT 'of these: still owed, time not passed',
    promises_kept   UInt32 COMMENT 'of these: kept in time',
    promises_late   UInt32 COMMENT 'of these: kept too late',
    promises_broken UInt32 COMMENT 'of these: time passed, still owed',
    friction        UInt32 COMMENT 'friction episodes, withdrawn ones not counted',
    delight         UInt32 COMMENT 'delight episodes, withdrawn ones not counted',
    experience      Float32 COMMENT 'how the journey felt, 0 (bad) to 100 (good)',
    effort          Float32 COMMENT 'how much the customer had to do, 0 (little) to 100 (much)',
    _ingested_at    DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'when this state was written: from then on it could be seen',
    _version        UInt64 COMMENT 'epoch * 2^32 + flush number',
    _is_deleted     UInt8 COMMENT '1: retracted'
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(_ingested_at)
ORDER BY (customer_id, journey_id, _version)
TTL toDateTime(_ingested_at) + INTERVAL 1 YEAR
COMMENT 'every state of a journey as it was written; kept for 1 year (change: MODIFY TTL); read it through analytics.journey_history';

CREATE MATERIALIZED VIEW IF NOT EXISTS journeys.history_of_alerts TO journeys.alert_history AS
SELECT customer_id, episode_id, journey_id, rule, rule_version, kind, severity, status, change, subject, store_id,
       opened_at, last_seen_at, resolved_at, threshold, actual, unit, affected_customers, withdrawn_because,
       _ingested_at, _version, _is_deleted
FROM journeys.alerts;

CREATE MATERIALIZED VIEW IF NOT EXISTS journeys.history_of_journeys TO journeys.journey_history AS
SELECT customer_id, journey_id, started_at, ended_at, status, outcome, touchpoints, contacts, orders,
       promises, promises_open, promises_kept, promises_late, promises_broken, friction, delight, experience, effort,
       _ingested_at, _version, _is_deleted
FROM journeys.journeys;

-- Written once more as they are, so that the views above see what was there before them; what they have seen is left out.
INSERT INTO journeys.alerts SELECT * FROM journeys.alerts
WHERE (episode_id, _version) NOT IN (SELECT episode_id, _version FROM journeys.alert_history);

INSERT INTO journeys.journeys SELECT * FROM journeys.journeys
WHERE (journey_id, _version) NOT IN (SELECT journey_id, _version FROM journeys.journey_history);

-- The base table is read as well: what is still so since before the time for which history is kept stands only there.
-- Each column by itself, as most questions need few of them: those of one version are one row's. NULL is put into a tuple, or
-- argMax would pass over it to an older row.
CREATE OR REPLACE VIEW analytics.alerts_as_known_at
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
GROUP BY customer_id, episode_id
HAVING NOT argMax(_is_deleted, _version)
COMMENT 'parameter at (UTC): episodes as they could be seen then, one row each (greatest version of those written by then); known_at: since when';

CREATE OR REPLACE VIEW analytics.journeys_as_known_at
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
GROUP BY customer_id, journey_id
HAVING NOT argMax(_is_deleted, _version)
COMMENT 'parameter at (UTC): journeys as they could be seen then, one row each (greatest version of those written by then); known_at: since when';

-- A row of a lower version than one before it was written by a worker that had lost its partition: it was never seen.
CREATE OR REPLACE VIEW analytics.alert_history
(
    customer_id        String COMMENT 'as in analytics.alerts',
    episode_id         UUID COMMENT 'names the episode',
    journey_id         UUID COMMENT 'journey in which it began',
    rule               LowCardinality(String) COMMENT 'rule that found it',
    rule_version       UInt16 COMMENT 'version of that rule',
    kind               LowCardinality(String) COMMENT 'friction, delight, opportunity or source',
    severity           LowCardinality(String) COMMENT 'info, warning or critical',
    status             LowCardinality(String) COMMENT 'open, resolved or withdrawn',
    change             LowCardinality(String) COMMENT 'what the rule did: opened, updated, escalated, resolved or withdrawn',
    subject            String COMMENT 'order, queue, contact or topic it is about',
    store_id           LowCardinality(String) COMMENT 'store it happened in; empty if none',
    opened_at          DateTime64(3, 'UTC') COMMENT 'when the rule''s condition became true',
    last_seen_at       DateTime64(3, 'UTC') COMMENT 'last touchpoint or due time that belongs to it',
    resolved_at        Nullable(DateTime64(3, 'UTC')) COMMENT 'NULL while open',
    threshold          Float64 COMMENT 'what the rule allows, in its own unit',
    actual             Float64 COMMENT 'what was found, in the same unit',
    unit               LowCardinality(String) COMMENT 'what threshold and actual count',
    affected_customers Nullable(UInt32) COMMENT 'how many customers share the problem; NULL if not counted',
    withdrawn_because  LowCardinality(String) COMMENT 'late_data, corrected, rule_changed or merged; empty unless withdrawn',
    is_retracted       Bool COMMENT 'the row was taken back: from known_at on there was no such episode',
    state              UInt32 COMMENT 'number of this state, from 1',
    known_at           DateTime64(3, 'UTC') COMMENT 'when this state was written: from then on it could be seen',
    known_until        Nullable(DateTime64(3, 'UTC')) COMMENT 'when the next one was; NULL if there is none'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT customer_id, episode_id, journey_id, rule, rule_version, kind, severity, status, change, subject, store_id,
       opened_at, last_seen_at, nullIf(resolved_at, toDateTime64(0, 3, 'UTC')) AS resolved_at, threshold, actual, unit,
       affected_customers, withdrawn_because, is_retracted, state, known_at, known_until
FROM
(
    SELECT customer_id, episode_id, journey_id, rule, rule_version, kind, severity, status, change, subject, store_id,
           opened_at, last_seen_at, resolved_at, threshold, actual, unit, affected_customers, withdrawn_because,
           _is_deleted = 1 AS is_retracted, toUInt32(row_number() OVER in_order) AS state, _ingested_at AS known_at,
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
        )
        WHERE _version > version_before
        WINDOW in_order AS (PARTITION BY customer_id, episode_id ORDER BY _ingested_at)
    )
    WHERE number = 1 OR told IS DISTINCT FROM told_before
    WINDOW in_order AS (PARTITION BY customer_id, episode_id ORDER BY _ingested_at)
)
COMMENT 'one row for each state in which an episode could be seen, in order, repetitions left out; kept for 3 years';

CREATE OR REPLACE VIEW analytics.journey_history
(
    customer_id     String COMMENT 'as in analytics.journeys',
    journey_id      UUID COMMENT 'names the journey',
    started_at      DateTime64(3, 'UTC') COMMENT 'first touchpoint',
    ended_at        DateTime64(3, 'UTC') COMMENT 'last touchpoint so far',
    status          LowCardinality(String) COMMENT 'open or closed',
    outcome         LowCardinality(String) COMMENT 'converted, abandoned, resolved, unresolved, returned or browsing',
    touchpoints     UInt32 COMMENT 'number of touchpoints',
    contacts        UInt32 COMMENT 'support contacts started',
    orders          UInt32 COMMENT 'orders and till purchases',
    promises        UInt32 COMMENT 'promises made to the customer',
    promises_open   UInt32 COMMENT 'of these: still owed, time not passed',
    promises_kept   UInt32 COMMENT 'of these: kept in time',
    promises_late   UInt32 COMMENT 'of these: kept too late',
    promises_broken UInt32 COMMENT 'of these: time passed, still owed',
    friction        UInt32 COMMENT 'friction episodes, withdrawn ones not counted',
    delight         UInt32 COMMENT 'delight episodes, withdrawn ones not counted',
    experience      Float32 COMMENT 'how the journey felt, 0 (bad) to 100 (good)',
    effort          Float32 COMMENT 'how much the customer had to do, 0 (little) to 100 (much)',
    is_retracted    Bool COMMENT 'the row was taken back: from known_at on there was no such journey',
    state           UInt32 COMMENT 'number of this state, from 1',
    known_at        DateTime64(3, 'UTC') COMMENT 'when this state was written: from then on it could be seen',
    known_until     Nullable(DateTime64(3, 'UTC')) COMMENT 'when the next one was; NULL if there is none'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT customer_id, journey_id, started_at, ended_at, status, outcome, touchpoints, contacts, orders, promises,
       promises_open, promises_kept, promises_late, promises_broken, friction, delight, experience, effort, is_retracted,
       state, known_at, known_until
FROM
(
    SELECT customer_id, journey_id, started_at, ended_at, status, outcome, touchpoints, contacts, orders, promises,
           promises_open, promises_kept, promises_late, promises_broken, friction, delight, experience, effort,
           _is_deleted = 1 AS is_retracted, toUInt32(row_number() OVER in_order) AS state, _ingested_at AS known_at,
           leadInFrame(toNullable(_ingested_at)) OVER (in_order ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS known_until
    FROM
    (
        SELECT *, (started_at, ended_at, status, outcome, touchpoints, contacts, orders, promises, promises_open,
                   promises_kept, promises_late, promises_broken, friction, delight, experience, effort, _is_deleted) AS told,
               lagInFrame(told) OVER (in_order ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS told_before,
               row_number() OVER in_order AS number
        FROM
        (
            SELECT *, max(_version) OVER (PARTITION BY customer_id, journey_id ORDER BY _ingested_at, _version DESC
                                          ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS version_before
            FROM journeys.journey_history
        )
        WHERE _version > version_before
        WINDOW in_order AS (PARTITION BY customer_id, journey_id ORDER BY _ingested_at)
    )
    WHERE number = 1 OR told IS DISTINCT FROM told_before
    WINDOW in_order AS (PARTITION BY customer_id, journey_id ORDER BY _ingested_at)
)
COMMENT 'one row for each state in which a journey could be seen, in order, repetitions left out; kept for 1 year';
