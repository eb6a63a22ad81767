-- One row per window with a record ID that occurs more than once in its table.
SELECT
    table_name,
    account,
    window_start,
    sum(copies - 1) AS "rows"
FROM
    (
        SELECT
            table_name,
            account,
            record_id,
            min(window_start) AS window_start,
            count(*) AS copies
        FROM
            (
                SELECT 'usage' AS table_name, account, record_id, window_start
                FROM usage
                UNION ALL
                SELECT 'recordings', account, record_id, window_start
                FROM recordings
                UNION ALL
                SELECT 'contents', account, record_id, window_start
                FROM contents
                UNION ALL
                SELECT 'recording_files', account, record_id, window_start
                FROM recording_files
            )
        GROUP BY table_name, account, record_id
    )
WHERE copies > 1
GROUP BY table_name, account, window_start
