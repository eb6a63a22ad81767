-- Grain: account, local_date, channel; every day from the account's first to its last, and null for records without a start.
WITH mirrored AS (
    SELECT
        account,
        local_date,
        channel,
        count(*) AS mirrored_pairs,
        sum(minutes) AS mirrored_minutes
    FROM internal_pairs
    INNER JOIN labels USING (label)
    GROUP BY ALL
),

totals AS (
    SELECT
        account,
        local_date,
        channel,
        count(*) AS rows_listed,
        sum(minutes) AS minutes,
        exact_sum(credits) AS credits,
        count(DISTINCT member) FILTER (WHERE member > 0) AS users,
        count(DISTINCT party) FILTER (WHERE party > 0) AS counterparties
    FROM local_usage
    INNER JOIN labels USING (label)
    GROUP BY ALL
),

days AS (
    SELECT
        account,
        unnest(generate_series(min(local_date)::TIMESTAMP, max(local_date)::TIMESTAMP, INTERVAL 1 DAY))::DATE
            AS local_date
    FROM totals
    GROUP BY account
),

calendar AS (
    SELECT
        account,
        local_date,
        channel
    FROM days
    INNER JOIN (SELECT DISTINCT account, channel FROM totals) AS channels USING (account)
)

SELECT
    coalesce(calendar.account, totals.account) AS account,
    coalesce(calendar.local_date, totals.local_date) AS local_date,
    coalesce(calendar.channel, totals.channel) AS channel,
    coalesce(rows_listed, 0) - coalesce(mirrored_pairs, 0) AS records,
    CASE
        WHEN rows_listed IS NULL AND calendar.channel = 'call' THEN 0
        ELSE minutes - coalesce(mirrored_minutes, 0)
    END AS minutes,
    CASE WHEN rows_listed IS NULL THEN 0 ELSE credits END AS credits,
    coalesce(users, 0) AS users,
    coalesce(counterparties, 0) AS counterparties,
    coalesce(mirrored_pairs, 0) AS mirrored_pairs
FROM calendar
FULL JOIN totals
    ON totals.account = calendar.account
    AND totals.local_date = calendar.local_date
    AND totals.channel IS NOT DISTINCT FROM calendar.channel
LEFT JOIN mirrored
    ON mirrored.account = totals.account
    AND mirrored.local_date = totals.local_date
    AND mirrored.channel IS NOT DISTINCT FROM totals.channel
