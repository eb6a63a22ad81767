-- One row per window with records that are not a call, text or fax. Marts count them under no channel and without minutes.
SELECT
    'usage' AS table_name,
    account,
    window_start,
    count(*) AS "rows"
FROM usage
WHERE channel IS NULL OR channel NOT IN ('call', 'text', 'fax')
GROUP BY account, window_start
