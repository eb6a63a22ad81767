-- Grain: account, local_date, channel, type.
-- One row per channel, type and day from the account's first to its last, also of days without records, compared with
-- the 28 days before. The date is null for records without a start.
WITH spent AS (
    SELECT
        account,
        local_date,
        channel,
        type,
        count(*) AS records,
        exact_sum(credits) AS credits
    FROM activity
    GROUP BY ALL
),

days AS (
    SELECT
        account,
        unnest(generate_series(min(local_date), max(local_date), INTERVAL 1 DAY))::DATE AS local_date
    FROM spent
    GROUP BY account
),

calendar AS (
    SELECT
        days.account,
        local_date,
        channel,
        type
    FROM days
    INNER JOIN (SELECT DISTINCT account, channel, type FROM spent) AS kinds
        ON kinds.account = days.account
    UNION ALL
    SELECT
        account,
        local_date,
        channel,
        type
    FROM spent
    WHERE local_date IS NULL
),

filled AS (
    SELECT
        calendar.account,
        calendar.local_date,
        calendar.channel,
        calendar.type,
        coalesce(records, 0) AS records,
        CASE WHEN records IS NULL THEN 0 ELSE credits END AS credits
    FROM calendar
    LEFT JOIN spent
        ON spent.account = calendar.account
        AND spent.local_date IS NOT DISTINCT FROM calendar.local_date
        AND spent.channel IS NOT DISTINCT FROM calendar.channel
        AND spent.type IS NOT DISTINCT FROM calendar.type
),

compared AS (
    SELECT
        *,
        local_date IS NOT NULL AND count(local_date) OVER month_before = 28 AS is_comparable,
        avg(credits) OVER month_before AS mean_before,
        median(credits) OVER month_before AS median_before,
        mad(credits) OVER month_before AS deviation_before
    FROM filled
    WINDOW month_before AS (
        PARTITION BY account, channel, type
        ORDER BY local_date NULLS LAST
        ROWS BETWEEN 28 PRECEDING AND 1 PRECEDING
    )
)

SELECT
    account,
    local_date,
    channel,
    type,
    records,
    credits,
    CASE WHEN is_comparable THEN mean_before END AS mean_28d,
    CASE WHEN is_comparable THEN (credits - median_before) / nullif(1.4826 * deviation_before, 0) END AS robust_z
FROM compared
