-- One row per window with records that are neither between iPlum users nor external.
SELECT
    'usage' AS table_name,
    account,
    window_start,
    count(*) AS "rows"
FROM usage
WHERE type IS NULL OR type NOT IN ('iplum', 'external')
GROUP BY account, window_start
