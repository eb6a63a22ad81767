-- Grain: account, user_id, local_week.
-- One row per user and local week in which blocks of inbound texts started.
SELECT
    account,
    user_id,
    date_trunc('week', block_start AT TIME ZONE time_zone)::DATE AS local_week,
    count(*) AS blocks,
    count(replied_at) AS replied,
    quantile_cont(wait_seconds, 0.5) AS p50_seconds,
    quantile_cont(wait_seconds, 0.9) AS p90_seconds,
    count(*) FILTER (WHERE wait_seconds <= 900) / nullif(count(*), 0) AS within_15_min,
    count(*) FILTER (WHERE wait_seconds <= 3600) / nullif(count(*), 0) AS within_1_h
FROM marts.text_responses
INNER JOIN publication.settings USING (account)
GROUP BY ALL
