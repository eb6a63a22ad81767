-- Grain: account, weekday, local_hour, channel.
-- One row per hour of the week and channel, also of hours without records. Weekday and hour are null for records without a
-- start.
WITH counted AS (
    SELECT
        account,
        weekday,
        local_hour,
        channel,
        count(*) AS records
    FROM activity
    GROUP BY ALL
),

totals AS (
    SELECT
        account,
        channel,
        sum(records) AS records
    FROM counted
    GROUP BY ALL
),

hours AS (
    SELECT
        account,
        weekday,
        local_hour,
        channel
    FROM totals
    CROSS JOIN generate_series(1, 7) AS weekdays (weekday)
    CROSS JOIN generate_series(0, 23) AS hours_of_day (local_hour)
    UNION ALL
    SELECT
        account,
        weekday,
        local_hour,
        channel
    FROM counted
    WHERE weekday IS NULL
)

SELECT
    hours.account,
    hours.weekday,
    hours.local_hour,
    hours.channel,
    coalesce(counted.records, 0) AS records,
    coalesce(counted.records, 0) / nullif(totals.records, 0) AS share
FROM hours
INNER JOIN totals
    ON totals.account = hours.account
    AND totals.channel IS NOT DISTINCT FROM hours.channel
LEFT JOIN counted
    ON counted.account = hours.account
    AND counted.weekday IS NOT DISTINCT FROM hours.weekday
    AND counted.local_hour IS NOT DISTINCT FROM hours.local_hour
    AND counted.channel IS NOT DISTINCT FROM hours.channel
