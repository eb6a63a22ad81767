-- The last 30 days and the 30 days before, per channel.
WITH last_day AS (
    SELECT max(local_date) AS local_date
    FROM marts.daily_totals
)

SELECT
    channel,
    coalesce(sum(records) FILTER (WHERE totals.local_date > last_day.local_date - 30), 0) AS records,
    coalesce(sum(records) FILTER (WHERE totals.local_date <= last_day.local_date - 30), 0) AS records_before
FROM marts.daily_totals AS totals
CROSS JOIN last_day
WHERE totals.local_date > last_day.local_date - 60
GROUP BY channel
ORDER BY channel
