-- One row per window with records whose body or file was attempted but is not verified.
SELECT
    table_name,
    account,
    window_start,
    count(*) AS "rows"
FROM
    (
        SELECT 'contents' AS table_name, account, window_start, status
        FROM contents
        UNION ALL
        SELECT 'recording_files', account, window_start, status
        FROM recording_files
    )
WHERE status <> 'verified'
GROUP BY table_name, account, window_start
