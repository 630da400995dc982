-- A value that a parameter does not know gave an answer to another question, or to none. Now it gives an error; by a subquery, as
-- that is looked at also where there are no rows.
CREATE OR REPLACE VIEW analytics.service_level
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT channel, count() AS offered, countIf(wait IS NOT NULL) AS answered,
       countIf(wait <= {threshold_seconds:Float64}) AS answered_in_time,
       countIf(patience >= {short_abandon_seconds:Float64}) AS abandoned,
       countIf(patience < {short_abandon_seconds:Float64}) AS short_abandoned,
       offered - answered - abandoned - short_abandoned AS undecided,
       answered_in_time / nullIf(answered + abandoned, 0) AS service_level_share,
       abandoned / nullIf(answered + abandoned, 0) AS abandonment_share,
       if(answered = 0, NULL, sum(wait) / answered) AS average_speed_of_answer_seconds
FROM
(
    SELECT channel, if({answered_by:String} = 'human', human_wait_seconds, wait_seconds) AS wait,
           if({answered_by:String} = 'human', answered_by_human_at, answered_at) IS NULL AS is_unanswered,
           if(is_unanswered, dateDiff('millisecond', started_at, abandoned_at) / 1000, NULL) AS patience
    FROM analytics.contacts_between(since = {since:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')})
    WHERE started_at IS NOT NULL AND NOT (SELECT throwIf({answered_by:String} NOT IN ('human', 'any'), 'answered_by is human or any'))
)
GROUP BY channel
COMMENT 'Contacts started from since to before until, as known at until, by channel.
Parameters: since, until, threshold_seconds, short_abandon_seconds, answered_by (human or any).
Columns: channel, offered, answered, answered_in_time (within threshold_seconds), abandoned (unanswered, after short_abandon_seconds or more),
short_abandoned (sooner: in no share), undecided (still waiting, ended without such an answer, or clocks contradict: in no share), service_level_share
(answered_in_time of answered and abandoned, 0 to 1), abandonment_share (abandoned of the same), average_speed_of_answer_seconds';

CREATE OR REPLACE VIEW analytics.episode_places
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
WITH asked AS (
    SELECT customer_id, episode_id, evidence, greatest(opened_at, last_seen_at, resolved_at) AS seen_at FROM journeys.alerts
    WHERE kind = {kind:String} AND opened_at >= {since:DateTime64(3, 'UTC')} AND opened_at < {until:DateTime64(3, 'UTC')}
)
SELECT customer_id, episode_id, opened_at, rule, status, store_id,
       arrayDistinct(arrayFilter(x -> x != '', arrayMap(x -> x.4, arraySort(served)))) AS agents,
       arrayDistinct(arrayMap(x -> x.4, arraySort(came_by))) AS channels,
       arrayDistinct(arrayFilter(x -> x != '', arrayMap(x -> x.4, arraySort(brought)))) AS carriers
FROM (
    SELECT e.customer_id AS customer_id, e.episode_id AS episode_id, any(e.opened_at) AS opened_at, any(e.rule) AS rule,
           any(e.status) AS status, any(e.store_id) AS store_id,
           groupArrayIf((t.occurred_at, t.source, t.event_id, t.agent_id), t.event_id != '') AS served,
           groupArrayIf((t.occurred_at, t.source, t.event_id, t.channel), t.event_id != '') AS came_by,
           groupArrayIf((t.occurred_at, t.source, t.event_id, t.carrier), t.event_id != '') AS brought
    FROM (
        SELECT customer_id, episode_id, opened_at, toString(rule) AS rule, toString(status) AS status,
               toString(store_id) AS store_id, arrayJoin(if(empty(evidence), [''], evidence)) AS id
        FROM journeys.alerts FINAL
        PREWHERE episode_id IN (SELECT episode_id FROM asked)
        -- `friction_by` asks for none by ''.
        WHERE NOT (SELECT throwIf({kind:String} NOT IN ('friction', 'delight', 'opportunity', ''), 'kind is friction, delight or opportunity'))
          AND kind = {kind:String} AND opened_at >= {since:DateTime64(3, 'UTC')} AND opened_at < {until:DateTime64(3, 'UTC')}
    ) AS e
    LEFT JOIN (
        SELECT customer_id, occurred_at, toString(source) AS source, event_id, concat(source, '/', event_id) AS id,
               toString(agent_id) AS agent_id, if(channel = '', source, toString(channel)) AS channel,
               JSONExtractString(properties, 'carrier') AS carrier
        FROM (
            SELECT customer_id, occurred_at, source, event_id, agent_id, channel, properties, _is_deleted FROM journeys.touchpoints
            WHERE occurred_at >= {since:DateTime64(3, 'UTC')} - INTERVAL 60 DAY
              AND occurred_at <= (SELECT max(seen_at) FROM asked) + INTERVAL 14 DAY
              AND customer_id IN (SELECT customer_id FROM asked)
              AND event_id IN (SELECT substring(arrayJoin(evidence) AS named, position(named, '/') + 1) FROM asked)
            ORDER BY _version DESC
            LIMIT 1 BY customer_id, occurred_at, source, event_id
        )
        WHERE NOT _is_deleted
    ) AS t ON e.customer_id = t.customer_id AND e.id = t.id
    GROUP BY customer_id, episode_id
)
SETTINGS join_use_nulls = 0
COMMENT 'episode_places(since, until, kind): where episodes that opened in the range happened and who served, as far as their evidence says so. kind:
friction, delight or opportunity. customer_id, episode_id, opened_at, rule, status (withdrawn ones are here too), store_id (first that its evidence
names; empty if none), agents, channels (a source stands in where none was said), carriers (property carrier): each once, in order of time';
