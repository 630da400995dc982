-- How long touchpoints lie on the fast disk, and how long they are kept. Nothing of it is done unless you run it: as it comes, the
-- platform keeps everything where it is. Read docs/warehouse.md first, above all what deleting means for a rebuild.
-- Run it as journeys_admin, with the months that you want, on a server that has storage.xml:
--
--   clickhouse-client --queries-file retention.sql
--
-- On a cluster run it on each server, with `journeys.touchpoints_local` in place of `journeys.touchpoints`.
--
-- All touchpoints of a month grow old at the same moment. Were it each by its own time, a retraction could go before what it
-- retracts, and that would be seen again.
ALTER TABLE journeys.touchpoints MODIFY SETTING storage_policy = 'journeys_tiered', ttl_only_drop_parts = 1;

-- A month goes to the cold disk a year after it ended.
ALTER TABLE journeys.touchpoints MODIFY TTL toStartOfMonth(occurred_at) + INTERVAL 13 MONTH TO VOLUME 'cold';

-- To delete it seven years after it ended, take this in its place:
--
-- ALTER TABLE journeys.touchpoints MODIFY TTL
--     toStartOfMonth(occurred_at) + INTERVAL 13 MONTH TO VOLUME 'cold',
--     toStartOfMonth(occurred_at) + INTERVAL 85 MONTH DELETE;
--
-- To keep everything again: ALTER TABLE journeys.touchpoints REMOVE TTL; what has gone to the cold disk stays there and is read there.
