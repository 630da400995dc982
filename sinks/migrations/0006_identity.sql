CREATE TABLE IF NOT EXISTS journeys.identity_links
(
    identifier   String COMMENT 'record key, kind:value, of the weaker identifier; personal kinds as keyed HMAC',
    owner        String COMMENT 'record key of the stronger identifier that it was seen with',
    rule         LowCardinality(String) COMMENT 'seen_together, merged, unlinked or relinked; the last two are a person''s acts',
    occurred_at  DateTime64(3, 'UTC') COMMENT 'when the touchpoint happened, or when the person acted',
    source       LowCardinality(String) COMMENT 'source of the touchpoint that says so; console for a person''s act',
    event_id     String COMMENT 'its event id, or the id of the act',
    by           String COMMENT 'who did it; empty for what touchpoints say',
    reason       String COMMENT 'why customers were merged, or why a person acted',
    _ingested_at DateTime64(3, 'UTC') COMMENT 'when this row was written'
)
ENGINE = ReplacingMergeTree(_ingested_at)
ORDER BY (identifier, owner, rule, occurred_at, source, event_id)
COMMENT 'evidence for links between identifiers, never changed; read it through analytics.identity_links';

CREATE TABLE IF NOT EXISTS journeys.identity_owners
(
    identifier    String COMMENT 'record key, kind:value',
    owner         String COMMENT 'record key of the identifier that it belongs to; empty: it belongs to nobody',
    status        LowCardinality(String) COMMENT 'linked, conflict (linked to the earliest of several), flagged (too many customers: not linked), unlinked (by a person) or loop (of merge records)',
    customers     UInt32 COMMENT 'with how many different owners it was seen in the busiest window',
    rule          LowCardinality(String) COMMENT 'rule of the evidence that decided; empty if it belongs to nobody',
    source        LowCardinality(String) COMMENT 'source of the touchpoint that decided',
    event_id      String COMMENT 'its event id',
    linked_at     DateTime64(3, 'UTC') COMMENT 'when that touchpoint happened',
    first_seen_at DateTime64(3, 'UTC') COMMENT 'first touchpoint under this identifier alone; 1970-01-01: none was known',
    decided_at    DateTime64(3, 'UTC') COMMENT 'wall clock of the decision',
    _ingested_at  DateTime64(3, 'UTC') COMMENT 'when this row was written',
    _version      UInt64 COMMENT 'epoch * 2^32 + flush number'
)
ENGINE = ReplacingMergeTree(_version)
ORDER BY identifier
COMMENT 'to whom each identifier belongs now, and why; read it through analytics.identity';

ALTER TABLE journeys.touchpoints
    ADD COLUMN IF NOT EXISTS via Array(String) COMMENT 'identifiers through which it came to its customer, its own first; empty: it named the customer itself' AFTER schema_version,
    ADD COLUMN IF NOT EXISTS _via_versions Array(UInt64) COMMENT 'version of each of these links' AFTER via,
    ADD COLUMN IF NOT EXISTS _moves UInt32 COMMENT 'how often it was sent on to another customer' AFTER _via_versions;

CREATE OR REPLACE VIEW analytics.identity_links
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT identifier, owner, rule, occurred_at, source, event_id, by, reason
FROM journeys.identity_links FINAL
COMMENT 'one row for each piece of evidence that an identifier belongs to another';

CREATE OR REPLACE VIEW analytics.identity
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT identifier, splitByChar(':', identifier)[1] AS kind, owner, status, customers, rule, source, event_id,
       nullIf(linked_at, toDateTime64(0, 3, 'UTC')) AS linked_at,
       nullIf(first_seen_at, toDateTime64(0, 3, 'UTC')) AS first_seen_at, decided_at
FROM journeys.identity_owners FINAL
COMMENT 'one row for each identifier of which something is known: to whom it belongs and why';

CREATE OR REPLACE VIEW analytics.identity_conflicts
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT identifier, kind, status, owner, customers, decided_at
FROM analytics.identity
WHERE status IN ('conflict', 'flagged', 'loop')
COMMENT 'identifiers that somebody should look at: seen with several customers, with too many, or merged in a circle';

CREATE TABLE IF NOT EXISTS journeys.forgotten
(
    identifier_hash String COMMENT 'SHA-256 of the record key, in hex: the identifier itself is not kept',
    receipt_id      String COMMENT 'the erasure that put it here',
    forgotten_at    DateTime64(3, 'UTC') COMMENT 'when it was erased'
)
ENGINE = ReplacingMergeTree(forgotten_at)
ORDER BY identifier_hash
COMMENT 'identifiers of erased customers: what comes under them is not taken';
