-- The period covered by each dataset, and its incomplete windows.
SELECT
    account,
    dataset,
    max(last_pulled_at) AT TIME ZONE any_value(time_zone) AS last_pulled,
    min(window_start) AS first_window,
    max(window_start) AS last_window,
    count(*) AS windows,
    count(*) FILTER (WHERE verified_by IS NULL) AS unproven,
    sum("rows") AS records,
    sum(absent) AS absent,
    sum(callback_only) AS callback_only
FROM marts.completeness
INNER JOIN publication.settings USING (account)
GROUP BY account, dataset
ORDER BY account, dataset DESC
