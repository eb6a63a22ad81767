-- Grain: account, weekday, local_hour, channel; every hour of the week, and nulls for records without a start.
WITH counted AS (
    SELECT
        account,
        isodow(local_at) AS weekday,
        hour(local_at) AS local_hour,
        channel,
        count(*) AS records
    FROM local_usage
    INNER JOIN labels USING (label)
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
),

filled AS (
    SELECT
        coalesce(hours.account, counted.account) AS account,
        coalesce(hours.weekday, counted.weekday) AS weekday,
        coalesce(hours.local_hour, counted.local_hour) AS local_hour,
        coalesce(hours.channel, counted.channel) AS channel,
        coalesce(counted.records, 0) AS records
    FROM hours
    FULL JOIN counted
        ON counted.account = hours.account
        AND counted.weekday = hours.weekday
        AND counted.local_hour = hours.local_hour
        AND counted.channel IS NOT DISTINCT FROM hours.channel
)

SELECT
    filled.account,
    weekday,
    local_hour,
    filled.channel,
    filled.records,
    filled.records / nullif(totals.records, 0) AS share
FROM filled
INNER JOIN totals
    ON totals.account = filled.account
    AND totals.channel IS NOT DISTINCT FROM filled.channel
