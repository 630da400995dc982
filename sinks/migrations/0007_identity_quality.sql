CREATE OR REPLACE VIEW analytics.identity_quality
(
    identifiers             UInt64 COMMENT 'identifiers of which something was decided; each has one of the five states that follow',
    linked                  UInt64 COMMENT 'of these: belong to somebody, and nothing speaks against it',
    conflicts               UInt64 COMMENT 'of these: belong to the earliest of several owners',
    flagged                 UInt64 COMMENT 'of these: seen with too many owners, and so belong to nobody',
    unlinked                UInt64 COMMENT 'of these: belong to nobody because a person said so',
    loops                   UInt64 COMMENT 'of these: merge records lead back to where they began',
    customers               UInt64 COMMENT 'customers with a touchpoint, provisional ones included',
    provisional_customers   UInt64 COMMENT 'of these: known by a weaker identifier only, not by a customer_id',
    provisional_share       Nullable(Float64) COMMENT 'share of customers that are provisional, 0 to 1; NULL if there are none',
    touchpoints             UInt64 COMMENT 'touchpoints of any age',
    stitched_touchpoints    UInt64 COMMENT 'of these: came to their customer through at least one link',
    stitched_share          Nullable(Float64) COMMENT 'share of touchpoints that came through a link, 0 to 1; NULL if there are none',
    recent_touchpoints      UInt64 COMMENT 'touchpoints that happened in the last 30 days',
    stitch_rate             Nullable(Float64) COMMENT 'share of these that belong to a customer_id, 0 to 1; NULL if there are none',
    mean_hops               Nullable(Float64) COMMENT 'links that a stitched touchpoint came through, on average; NULL if there is none',
    max_hops                Nullable(UInt64) COMMENT 'most links that a touchpoint came through; NULL if there is none that did',
    timed_merges            UInt64 COMMENT 'identifiers that belong to somebody and had touchpoints of their own: those that the next two columns are about',
    median_seconds_to_merge Nullable(Float64) COMMENT 'from the first touchpoint under an identifier alone to the one that linked it; 0 where that came first; NULL if there is none',
    p95_seconds_to_merge    Nullable(Float64) COMMENT 'what 95 % of them do not exceed; NULL if there is none'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT i.identifiers AS identifiers, i.linked AS linked, i.conflicts AS conflicts, i.flagged AS flagged,
       i.unlinked AS unlinked, i.loops AS loops,
       t.customers AS customers, t.provisional_customers AS provisional_customers,
       t.provisional_customers / nullIf(t.customers, 0) AS provisional_share,
       t.touchpoints AS touchpoints, t.stitched_touchpoints AS stitched_touchpoints,
       t.stitched_touchpoints / nullIf(t.touchpoints, 0) AS stitched_share,
       t.recent_touchpoints AS recent_touchpoints,
       t.recent_of_customers / nullIf(t.recent_touchpoints, 0) AS stitch_rate,
       t.all_hops / nullIf(t.stitched_touchpoints, 0) AS mean_hops, nullIf(t.max_hops, 0) AS max_hops,
       i.timed_merges AS timed_merges,
       if(i.timed_merges = 0, NULL, i.quantiles[1]) AS median_seconds_to_merge,
       if(i.timed_merges = 0, NULL, i.quantiles[2]) AS p95_seconds_to_merge
FROM
(
    SELECT count() AS identifiers, countIf(status = 'linked') AS linked, countIf(status = 'conflict') AS conflicts,
           countIf(status = 'flagged') AS flagged, countIf(status = 'unlinked') AS unlinked, countIf(status = 'loop') AS loops,
           countIf(is_timed) AS timed_merges,
           quantilesExactIf(0.5, 0.95)(greatest(dateDiff('millisecond', first_seen_at, linked_at), 0) / 1000, is_timed) AS quantiles
    FROM
    (
        SELECT status, first_seen_at, linked_at,
               owner != '' AND linked_at > toDateTime64(0, 3, 'UTC') AND first_seen_at > toDateTime64(0, 3, 'UTC') AS is_timed
        FROM journeys.identity_owners FINAL
    )
) AS i
CROSS JOIN
(
    SELECT uniqExact(customer_id) AS customers, uniqExactIf(customer_id, is_provisional) AS provisional_customers,
           count() AS touchpoints, countIf(hops > 0) AS stitched_touchpoints, countIf(is_recent) AS recent_touchpoints,
           countIf(is_recent AND NOT is_provisional) AS recent_of_customers, sum(hops) AS all_hops, max(hops) AS max_hops
    FROM
    (
        SELECT customer_id, length(via) AS hops, occurred_at > now64(3, 'UTC') - INTERVAL 30 DAY AS is_recent,
               -- A customer_id that itself looks like an identifier of another kind is shown with its prefix, customer_id.
               substringIndex(customer_id, ':', 1) IN ('loyalty_id', 'phone', 'email', 'device_id', 'anonymous_id') AS is_provisional
        FROM journeys.touchpoints FINAL
    )
) AS t
COMMENT 'one row: how well identifiers are put together to customers, of all that is stored';
