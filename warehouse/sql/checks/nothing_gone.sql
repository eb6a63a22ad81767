-- One row per window whose latest complete pull no longer returned some of its rows.
SELECT
    table_name,
    account,
    window_start,
    count(*) AS "rows"
FROM
    (
        SELECT 'usage' AS table_name, account, window_start, absent_since
        FROM usage
        UNION ALL
        SELECT 'recordings', account, window_start, absent_since
        FROM recordings
    )
WHERE absent_since IS NOT NULL
GROUP BY table_name, account, window_start
