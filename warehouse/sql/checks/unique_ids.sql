-- One row per window with a record ID that occurs more than once in its table.
SELECT
    table_name,
    account,
    window_start,
    sum(copies - 1) AS "rows"
FROM
    (
        SELECT
            'usage' AS table_name,
            account,
            record_id,
            min(window_start) AS window_start,
            count(*) AS copies
        FROM usage
        GROUP BY account, record_id
        UNION ALL
        SELECT
            'recordings',
            account,
            record_id,
            min(window_start),
            count(*)
        FROM recordings
        GROUP BY account, record_id
    )
WHERE copies > 1
GROUP BY table_name, account, window_start
