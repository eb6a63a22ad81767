-- One row per window with a row that started outside of it.
SELECT
    table_name,
    account,
    window_start,
    count(*) AS "rows"
FROM
    (
        SELECT 'usage' AS table_name, account, window_start, started_at
        FROM usage
        UNION ALL
        SELECT 'recordings', account, window_start, recorded_at
        FROM recordings
    )
WHERE
    started_at < window_start::TIMESTAMP AT TIME ZONE 'UTC'
    OR started_at
    >= window_end(window_start)
GROUP BY table_name, account, window_start
