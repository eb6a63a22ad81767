-- One row per window with records whose body or file was attempted but is not verified.
-- Texts of callbacks that were not requested yet have no attempts.
SELECT
    table_name,
    account,
    window_start,
    count(*) AS "rows"
FROM
    (
        SELECT 'contents' AS table_name, account, window_start, status, attempts
        FROM contents
        UNION ALL
        SELECT 'recording_files', account, window_start, status, attempts
        FROM recording_files
    )
WHERE status <> 'verified' AND attempts > 0
GROUP BY table_name, account, window_start
