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
    count(*) FILTER (WHERE wait_seconds <= 3600) / nullif(count(*), 0) AS within_1_h,
    -- The name and team at the latest block.
    arg_max_null(user_name, {'block_start': block_start, 'record_id': first_record_id}) AS user_name,
    arg_max_null(team, {'block_start': block_start, 'record_id': first_record_id}) AS team
FROM marts.text_responses
INNER JOIN publication.settings USING (account)
GROUP BY ALL
