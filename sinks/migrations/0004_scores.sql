CREATE OR REPLACE VIEW analytics.customer_scores
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
-- A weight halves with every 90 days before the end of the last journey. Counting the days from a fixed one instead makes
-- all weights of a customer greater or smaller by one factor, which an average does not see, and so takes one pass. The
-- fixed day lies where no time that the type can hold takes a weight out of the range of Float64.
SELECT customer_id,
       count() AS journeys,
       min(started_at) AS first_started_at,
       max(ended_at) AS last_ended_at,
       sum(weight * experience) / sum(weight) AS experience,
       sum(weight * effort) / sum(weight) AS effort,
       mapApply((part, points) -> (part, points / sum(weight)), sumMap(weighted_experience)) AS experience_parts,
       mapApply((part, points) -> (part, points / sum(weight)), sumMap(weighted_effort)) AS effort_parts
FROM
(
    SELECT customer_id, started_at, ended_at, experience, effort,
           exp2(dateDiff('millisecond', toDateTime64('2100-01-01 00:00:00', 3, 'UTC'), ended_at) / (90 * 86400000)) AS weight,
           mapApply((part, points) -> (part, points * weight), experience_parts) AS weighted_experience,
           mapApply((part, points) -> (part, points * weight), effort_parts) AS weighted_effort
    FROM analytics.journeys
    WHERE notEmpty(experience_parts)
)
GROUP BY customer_id
COMMENT 'one row per customer: scores and their parts, averaged over the scored journeys with a half-life of 90 days';
