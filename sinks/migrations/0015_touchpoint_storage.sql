-- A month that lies in one part is read with FINAL as fast as without: there is nothing to merge. The server brings a month
-- there by itself once nothing has come to it for six hours, and again six hours after something did.
ALTER TABLE journeys.touchpoints MODIFY SETTING min_age_to_force_merge_seconds = 21600, min_age_to_force_merge_on_partition_only = 1;

-- Of the months only those are read in which the customer, the order or something late is.
ALTER TABLE journeys.touchpoints
    ADD INDEX IF NOT EXISTS customer_filter customer_id TYPE bloom_filter(0.01) GRANULARITY 1,
    ADD INDEX IF NOT EXISTS order_filter order_id TYPE bloom_filter(0.01) GRANULARITY 1,
    ADD INDEX IF NOT EXISTS late_range late TYPE minmax GRANULARITY 1;

-- What is there already gets them in the background, one column each read and nothing rewritten.
ALTER TABLE journeys.touchpoints MATERIALIZE INDEX customer_filter;
ALTER TABLE journeys.touchpoints MATERIALIZE INDEX order_filter;
ALTER TABLE journeys.touchpoints MATERIALIZE INDEX late_range;

-- Columns that few questions read, packed tighter. New parts are written so, old ones when they are merged.
ALTER TABLE journeys.touchpoints
    MODIFY COLUMN identifiers CODEC(ZSTD(3)),
    MODIFY COLUMN order_id CODEC(ZSTD(1)),
    MODIFY COLUMN _offset CODEC(Delta, ZSTD(1)),
    MODIFY COLUMN _ingested_at CODEC(Delta, ZSTD(1));
