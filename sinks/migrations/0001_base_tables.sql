CREATE DATABASE IF NOT EXISTS journeys;
CREATE DATABASE IF NOT EXISTS analytics;

CREATE TABLE IF NOT EXISTS journeys.touchpoints
(
    customer_id          String COMMENT 'resolved customer: the bare customer_id, or kind:value while only a weaker identifier is known',
    occurred_at          DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'when it happened, corrected for a skewed sender clock',
    source               LowCardinality(String) COMMENT 'web, store, support, delivery, messaging or feedback',
    event_id             String COMMENT 'the source''s own id; (source, event_id) identifies a touchpoint',
    type                 LowCardinality(String) COMMENT 'what happened, from the catalogue',
    stage                LowCardinality(String) COMMENT 'stage of the type',
    channel              LowCardinality(String) COMMENT 'medium inside the source; empty if not said',
    order_id             String COMMENT 'empty if none',
    case_id              String COMMENT 'empty if none',
    store_id             LowCardinality(String) COMMENT 'empty if none',
    agent_id             LowCardinality(String) COMMENT 'empty if none',
    identifiers          Map(LowCardinality(String), String) COMMENT 'all identifiers it came with; personal kinds as keyed HMAC',
    properties           String CODEC(ZSTD(3)) COMMENT 'JSON object as it came',
    received_at          DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'when it reached the door',
    sent_at              DateTime64(3, 'UTC') COMMENT 'sender''s clock when it sent; 1970-01-01 if not said',
    occurred_at_original DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'occurred_at before clock correction',
    late                 Bool COMMENT 'arrived after its journey could be reopened; in no journey until a rebuild',
    schema_version       UInt16 COMMENT 'version of the touchpoint contract',
    _topic               LowCardinality(String) COMMENT 'Kafka topic it was read from',
    _partition           UInt16 COMMENT 'Kafka partition it was read from',
    _offset              UInt64 COMMENT 'Kafka offset it was read from',
    _ingested_at         DateTime64(3, 'UTC') COMMENT 'when this row was written',
    _version             UInt64 COMMENT 'not late beats late, earlier received beats later, a retraction beats what it retracts',
    _is_deleted          UInt8 COMMENT '1: retracted'
)
ENGINE = ReplacingMergeTree(_version, _is_deleted)
PARTITION BY toYYYYMM(occurred_at)
ORDER BY (customer_id, occurred_at, source, event_id)
COMMENT 'every accepted touchpoint; read it through analytics.touchpoints';

CREATE TABLE IF NOT EXISTS journeys.journeys
(
    customer_id      String COMMENT 'resolved customer',
    journey_id       UUID COMMENT 'UUIDv5 of customer and first touchpoint',
    started_at       DateTime64(3, 'UTC') COMMENT 'first touchpoint',
    ended_at         DateTime64(3, 'UTC') COMMENT 'last touchpoint so far',
    status           LowCardinality(String) COMMENT 'open or closed',
    outcome          LowCardinality(String) COMMENT 'converted, abandoned, resolved, unresolved, returned or browsing',
    touchpoints      UInt32 COMMENT 'number of touchpoints',
    sources          Map(LowCardinality(String), UInt32) COMMENT 'touchpoints by source',
    stages           Map(LowCardinality(String), DateTime64(3, 'UTC')) COMMENT 'first time in each stage',
    channels         Array(LowCardinality(String)) COMMENT 'channels in the order of first use; a source stands in where none was said',
    path             Array(LowCardinality(String)) COMMENT 'types in order, at most the first 200',
    contacts         UInt32 COMMENT 'support contacts started',
    orders           UInt32 COMMENT 'orders and till purchases',
    promises         UInt32 COMMENT 'promises made to the customer',
    promises_open    UInt32 COMMENT 'of these: still owed, time not passed',
    promises_kept    UInt32 COMMENT 'of these: kept in time',
    promises_late    UInt32 COMMENT 'of these: kept too late',
    promises_broken  UInt32 COMMENT 'of these: time passed, still owed',
    queue_wait_seconds    Nullable(Float64) COMMENT 'longest finished wait in a store queue; NULL if there was none',
    contact_wait_seconds  Nullable(Float64) COMMENT 'longest finished wait for an answer; NULL if there was none',
    delivery_deviation_seconds Nullable(Float64) COMMENT 'worst delivery against its latest promise, signed; NULL if none was delivered',
    friction         UInt32 COMMENT 'friction episodes, withdrawn ones not counted',
    _topic           LowCardinality(String) COMMENT 'Kafka topic of the last touchpoint seen',
    _partition       UInt16 COMMENT 'Kafka partition that owns the customer',
    _offset          UInt64 COMMENT 'next offset of that partition when this row was written',
    _ingested_at     DateTime64(3, 'UTC') COMMENT 'when this row was written',
    _version         UInt64 COMMENT 'epoch * 2^32 + flush number',
    _is_deleted      UInt8 COMMENT '1: retracted',
    INDEX version_range _version TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(_version, _is_deleted)
ORDER BY (customer_id, journey_id)
COMMENT 'journeys as stitched; read them through analytics.journeys';

CREATE TABLE IF NOT EXISTS journeys.promises
(
    customer_id        String COMMENT 'resolved customer',
    promise_id         UUID COMMENT 'UUIDv5 of customer, kind, subject and opening touchpoint',
    journey_id         UUID COMMENT 'journey in which it was made',
    kind               LowCardinality(String) COMMENT 'delivery, callback, refund, hold or complaint',
    subject            String COMMENT 'order, contact or product it is about',
    requested_at       DateTime64(3, 'UTC') COMMENT 'when it was made',
    first_promised_at  DateTime64(3, 'UTC') COMMENT 'time first promised',
    latest_promised_at DateTime64(3, 'UTC') COMMENT 'time last promised',
    settled_at         DateTime64(3, 'UTC') COMMENT 'when it was fulfilled or withdrawn; 1970-01-01 while owed',
    status             LowCardinality(String) COMMENT 'open, kept, late, broken or withdrawn',
    _topic             LowCardinality(String) COMMENT 'Kafka topic',
    _partition         UInt16 COMMENT 'Kafka partition that owns the customer',
    _offset            UInt64 COMMENT 'next offset of that partition when this row was written',
    _ingested_at       DateTime64(3, 'UTC') COMMENT 'when this row was written',
    _version           UInt64 COMMENT 'epoch * 2^32 + flush number',
    _is_deleted        UInt8 COMMENT '1: retracted',
    INDEX version_range _version TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(_version, _is_deleted)
ORDER BY (customer_id, promise_id)
COMMENT 'what the company owes by a time; read it through analytics.promises';

CREATE TABLE IF NOT EXISTS journeys.alerts
(
    customer_id    String COMMENT 'resolved customer',
    episode_id     UUID COMMENT 'UUIDv5 of rule, customer and the problem''s subject',
    journey_id     UUID COMMENT 'journey in which it began',
    rule           LowCardinality(String) COMMENT 'rule that found it',
    rule_version   UInt16 COMMENT 'version of that rule',
    severity       LowCardinality(String) COMMENT 'info, warning or critical',
    status         LowCardinality(String) COMMENT 'open, resolved or withdrawn',
    subject        String COMMENT 'order, queue, contact or topic it is about',
    opened_at      DateTime64(3, 'UTC') COMMENT 'when the rule''s condition became true',
    last_seen_at   DateTime64(3, 'UTC') COMMENT 'last touchpoint or due time that belongs to it',
    resolved_at    DateTime64(3, 'UTC') COMMENT '1970-01-01 while open',
    threshold      Float64 COMMENT 'what the rule allows, in its own unit',
    actual         Float64 COMMENT 'what was found, in the same unit',
    unit           LowCardinality(String) COMMENT 'seconds or contacts',
    title_en       LowCardinality(String) COMMENT 'title in English',
    title_he       LowCardinality(String) COMMENT 'title in Hebrew',
    reason_en      String COMMENT 'why, in English',
    reason_he      String COMMENT 'why, in Hebrew',
    advice_en      LowCardinality(String) COMMENT 'what to do, in English',
    advice_he      LowCardinality(String) COMMENT 'what to do, in Hebrew',
    store_id       LowCardinality(String) COMMENT 'store it happened in; empty if none',
    evidence       Array(String) COMMENT 'touchpoints that prove it, source/event_id',
    detected_at    DateTime64(3, 'UTC') COMMENT 'wall clock when this state was found',
    _topic         LowCardinality(String) COMMENT 'Kafka topic',
    _partition     UInt16 COMMENT 'Kafka partition that owns the customer',
    _offset        UInt64 COMMENT 'next offset of that partition when this row was written',
    _ingested_at   DateTime64(3, 'UTC') COMMENT 'when this row was written',
    _version       UInt64 COMMENT 'epoch * 2^32 + flush number',
    _is_deleted    UInt8 COMMENT '1: retracted',
    INDEX version_range _version TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(_version, _is_deleted)
ORDER BY (customer_id, episode_id)
COMMENT 'friction episodes; read them through analytics.alerts';

CREATE TABLE IF NOT EXISTS journeys.dead_letters
(
    topic         LowCardinality(String) COMMENT 'Kafka topic it was read from',
    partition     UInt16 COMMENT 'Kafka partition it was read from',
    offset        UInt64 COMMENT 'Kafka offset it was read from',
    reason        LowCardinality(String) COMMENT 'reason code',
    step          LowCardinality(String) COMMENT 'step that refused it',
    detail        String COMMENT 'what is wrong, for a person',
    key           String COMMENT 'record key',
    raw           String CODEC(ZSTD(3)) COMMENT 'the bytes as they came',
    raw_bytes     UInt64 COMMENT 'how many bytes came',
    refused_at    DateTime64(3, 'UTC') COMMENT 'wall clock of the refusal',
    _ingested_at  DateTime64(3, 'UTC') COMMENT 'when this row was written'
)
ENGINE = ReplacingMergeTree(_ingested_at)
PARTITION BY topic
ORDER BY (topic, partition, offset)
COMMENT 'refused input with its reason';

CREATE TABLE IF NOT EXISTS journeys.customer_state
(
    customer_key  String COMMENT 'record key of the customer, kind:value',
    segment       UInt32 COMMENT '0: head; 1 and up: touchpoints in order of arrival',
    key_hash      UInt32 CODEC(ZSTD) COMMENT 'murmur2 of the key: partition = key_hash % partitions',
    next_due_ms   Int64 COMMENT 'partition time at which the customer must be looked at again',
    blob          String CODEC(ZSTD) COMMENT 'packed state, see streams/packing.py',
    _ingested_at  DateTime64(3, 'UTC') COMMENT 'when this row was written',
    _version      UInt64 COMMENT 'epoch * 2^32 + flush number',
    _is_deleted   UInt8 COMMENT '1: the customer has nothing open any more'
)
ENGINE = ReplacingMergeTree(_version, _is_deleted)
ORDER BY (customer_key, segment)
COMMENT 'what the worker keeps of open customers';

CREATE TABLE IF NOT EXISTS journeys.partition_progress
(
    consumer_group    LowCardinality(String) COMMENT 'consumer group of the workers',
    partition         UInt16 COMMENT 'Kafka partition',
    epoch             UInt32 COMMENT 'grows by one with each claim of any partition of the group',
    flush             UInt32 COMMENT 'number of the flush in the epoch; 0 is the claim itself',
    partition_time_ms Int64 COMMENT 'partition time after this flush',
    positions         Map(LowCardinality(String), Int64) COMMENT 'next offset by topic after this flush',
    worker            String COMMENT 'who wrote it',
    _ingested_at      DateTime64(3, 'UTC') COMMENT 'when this row was written'
)
ENGINE = ReplacingMergeTree(flush)
ORDER BY (consumer_group, partition, epoch, worker)
COMMENT 'claims and the last finished flush of each epoch';
