-- One row per window with records that are no call, text or fax: the marts count them, but no minutes and by no channel.
SELECT
    'usage' AS table_name,
    account,
    window_start,
    count(*) AS "rows"
FROM usage
WHERE channel IS NULL OR channel NOT IN ('call', 'text', 'fax')
GROUP BY account, window_start
