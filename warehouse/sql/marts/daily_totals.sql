-- Grain: account, local_date, channel.
-- One row per channel and day from the account's first to its last, also of days without records. The date is null for
-- records without a start. A conversation between two users, which iPlum lists twice, counts once.
WITH records AS (
    SELECT
        activity.*,
        mirrored_records.record_id IS NOT NULL AS is_mirrored
    FROM activity
    LEFT JOIN mirrored_records
        ON mirrored_records.account = activity.account
        AND mirrored_records.record_id = activity.record_id
),

totals AS (
    SELECT
        account,
        local_date,
        channel,
        count(*) FILTER (WHERE NOT is_mirrored) AS records,
        sum(CASE WHEN is_mirrored THEN 0 ELSE duration_minutes END) FILTER (
            WHERE channel = 'call' AND duration_minutes IS NOT NULL
        ) AS minutes,
        exact_sum(credits) AS credits,
        count(DISTINCT user_id) AS users,
        count(DISTINCT counterparty) AS counterparties,
        count(*) FILTER (WHERE is_mirrored) AS mirrored_pairs
    FROM records
    GROUP BY ALL
),

days AS (
    SELECT
        account,
        unnest(generate_series(min(local_date), max(local_date), INTERVAL 1 DAY))::DATE AS local_date
    FROM totals
    GROUP BY account
),

calendar AS (
    SELECT
        days.account,
        local_date,
        channel
    FROM days
    INNER JOIN (SELECT DISTINCT account, channel FROM totals) AS channels
        ON channels.account = days.account
    UNION ALL
    SELECT
        account,
        local_date,
        channel
    FROM totals
    WHERE local_date IS NULL
)

SELECT
    calendar.account,
    calendar.local_date,
    calendar.channel,
    coalesce(records, 0) AS records,
    CASE WHEN records IS NULL AND calendar.channel = 'call' THEN 0 ELSE minutes END AS minutes,
    CASE WHEN records IS NULL THEN 0 ELSE credits END AS credits,
    coalesce(users, 0) AS users,
    coalesce(counterparties, 0) AS counterparties,
    coalesce(mirrored_pairs, 0) AS mirrored_pairs
FROM calendar
LEFT JOIN totals
    ON totals.account = calendar.account
    AND totals.local_date IS NOT DISTINCT FROM calendar.local_date
    AND totals.channel IS NOT DISTINCT FROM calendar.channel
