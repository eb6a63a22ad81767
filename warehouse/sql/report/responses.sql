-- Reply times to texts per week, over all users.
SELECT
    date_trunc('week', block_start AT TIME ZONE time_zone)::DATE AS local_week,
    count(*) AS blocks,
    median(wait_seconds) / 60 AS median_minutes,
    quantile_cont(wait_seconds, 0.9) / 60 AS slow_minutes,
    count(*) FILTER (WHERE wait_seconds <= 3600) / nullif(count(*), 0) AS within_1_h
FROM marts.text_responses
INNER JOIN publication.settings USING (account)
GROUP BY local_week
HAVING count(replied_at) > 0
ORDER BY local_week
