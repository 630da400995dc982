ALTER TABLE journeys.dead_letters
    ADD COLUMN IF NOT EXISTS arrived_at DateTime64(3, 'UTC') DEFAULT refused_at COMMENT 'when the record reached Kafka' AFTER refused_at,
    ADD COLUMN IF NOT EXISTS headers Map(String, String) COMMENT 'headers of the record' AFTER arrived_at,
    ADD COLUMN IF NOT EXISTS replay_of String COMMENT 'topic-partition-offset of the dead letter that it is a replay of; empty if it is none' AFTER headers,
    ADD COLUMN IF NOT EXISTS attempt UInt16 COMMENT 'how often it has been replayed when it was refused; 0 if it is no replay' AFTER replay_of,
    ADD COLUMN IF NOT EXISTS raw_hash UInt64 DEFAULT sipHash64(raw) COMMENT 'of the bytes: tells records apart that had the same offset, where a broker has begun anew' AFTER attempt;

CREATE TABLE IF NOT EXISTS journeys.dead_letter_replays
(
    topic         LowCardinality(String) COMMENT 'Kafka topic of the dead letter',
    partition     UInt16 COMMENT 'Kafka partition of the dead letter',
    offset        UInt64 COMMENT 'Kafka offset of the dead letter',
    raw_hash      UInt64 COMMENT 'of the dead letter''s bytes',
    attempt       UInt16 COMMENT 'how often it has been sent again with this, refusals of former replays counted',
    by            String COMMENT 'who did it',
    to_topic      LowCardinality(String) COMMENT 'topic that it was sent to',
    to_key        String COMMENT 'key that it was sent under',
    source        LowCardinality(String) COMMENT 'source of what was sent',
    event_id      String COMMENT 'event_id of what was sent',
    mapping       String COMMENT 'file that said what to edit; empty if it was sent as it came',
    replayed_at   DateTime64(3, 'UTC') COMMENT 'when Kafka had acknowledged it',
    _ingested_at  DateTime64(3, 'UTC') COMMENT 'when this row was written'
)
ENGINE = ReplacingMergeTree(_ingested_at)
ORDER BY (topic, partition, offset, raw_hash, attempt, replayed_at)
COMMENT 'what was replayed of refused input, by whom and when; rows are only ever added';

CREATE OR REPLACE VIEW analytics.dead_letters
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT concat(l.topic, '-', toString(l.partition), '-', toString(l.offset)) AS letter_id,
       l.topic AS topic, l.partition AS partition, l.offset AS offset, l.reason AS reason, l.step AS step, l.detail AS detail,
       l.raw_bytes AS raw_bytes, l.refused_at AS refused_at, l.arrived_at AS arrived_at,
       l.replay_of AS replay_of, l.attempt AS attempt,
       toUInt32(r.replays) AS replays,
       if(r.replays > 0, r.last.1, NULL) AS replayed_at, r.last.2 AS replayed_by, a.last.2 AS refused_again_as,
       multiIf(r.replays > 0, 'replayed', l.replay_of != '', 'refused_again', 'open') AS status
FROM
(
    SELECT topic, partition, offset, reason, step, detail, raw_bytes, refused_at, arrived_at, replay_of, attempt, raw_hash
    FROM journeys.dead_letters FINAL
) AS l
LEFT ANY JOIN
(
    SELECT topic, partition, offset, raw_hash, count() AS replays, max((replayed_at, by)) AS last
    FROM journeys.dead_letter_replays FINAL
    GROUP BY topic, partition, offset, raw_hash
) AS r ON l.topic = r.topic AND l.partition = r.partition AND l.offset = r.offset AND l.raw_hash = r.raw_hash
LEFT ANY JOIN
(
    SELECT replay_of, max((attempt, concat(topic, '-', toString(partition), '-', toString(offset)))) AS last
    FROM journeys.dead_letters FINAL WHERE replay_of != ''
    GROUP BY replay_of
) AS a ON concat(l.topic, '-', toString(l.partition), '-', toString(l.offset)) = a.replay_of
SETTINGS join_use_nulls = 0
COMMENT 'one row per refused record, without its bytes: open, replayed, or refused_again (a replay that was refused itself)';
