-- One row per window with records that are neither inbound nor outbound. Marts count them under no direction.
SELECT
    table_name,
    account,
    window_start,
    count(*) AS "rows"
FROM
    (
        SELECT 'usage' AS table_name, account, window_start, direction
        FROM usage
        UNION ALL
        SELECT 'recordings', account, window_start, direction
        FROM recordings
    )
WHERE direction IS NULL OR direction NOT IN ('in', 'out')
GROUP BY table_name, account, window_start
