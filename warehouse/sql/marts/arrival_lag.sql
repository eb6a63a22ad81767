-- Grain: account, dataset, channel.
-- One row per dataset and channel, with the time from the end of a record to the pull that returned it first. Records
-- that a callback delivered first are left out.
WITH arrivals AS (
    SELECT
        account,
        'usage' AS dataset,
        channel,
        window_start,
        origin,
        first_seen_at,
        coalesce(ended_at, started_at) AS ended_at
    FROM usage
    UNION ALL
    SELECT
        account,
        'recordings' AS dataset,
        NULL AS channel,
        window_start,
        origin,
        first_seen_at,
        recorded_at AS ended_at
    FROM recordings
),

-- A record delivered by both was first seen by a pull if a response was received at that instant.
pulled AS (
    SELECT
        account,
        dataset,
        channel,
        window_start,
        first_seen_at,
        ended_at
    FROM arrivals
    WHERE origin = 'pull'
    UNION ALL
    SELECT
        account,
        dataset,
        channel,
        window_start,
        first_seen_at,
        ended_at
    FROM arrivals
    SEMI JOIN pulls
        ON pulls.account = arrivals.account
        AND pulls.dataset = arrivals.dataset
        AND pulls.window_start = arrivals.window_start
        AND pulls.pulled_at = arrivals.first_seen_at
    WHERE origin = 'both'
),

asked AS (
    SELECT
        account,
        dataset,
        window_start,
        max(request_end) AS window_end,
        max(pulled_at) AS pulled_at
    FROM pulls
    WHERE reason NOT IN ('stray', 'callback') AND "rows" IS NOT NULL
    GROUP BY account, dataset, window_start, pull_id
),

watched AS (
    SELECT
        account,
        dataset,
        window_start,
        max(window_end) + to_days(any_value(lookback_days)) AS watched_until,
        min(pulled_at) AS first_pulled_at
    FROM asked
    INNER JOIN publication.settings USING (account)
    GROUP BY account, dataset, window_start
),

started AS (
    SELECT
        account,
        dataset,
        min(pulled_at) AS watched_since
    FROM asked
    GROUP BY account, dataset
),

lags AS (
    SELECT
        account,
        dataset,
        channel,
        seconds_between(ended_at, first_seen_at) AS lag_seconds
    FROM pulled
    INNER JOIN watched USING (account, dataset, window_start)
    INNER JOIN started USING (account, dataset)
    -- Records of the time before the first pull were backfilled, not late.
    WHERE
        first_seen_at <= watched_until
        AND (ended_at >= watched_since OR first_seen_at > first_pulled_at)
),

-- One pass computes all quantiles.
spread AS (
    SELECT
        account,
        dataset,
        channel,
        count(*) AS records,
        quantile_cont(lag_seconds, [0.5, 0.9, 0.99]) AS quantiles,
        max(lag_seconds) AS max_seconds
    FROM lags
    WHERE lag_seconds IS NOT NULL
    GROUP BY ALL
)

SELECT
    account,
    dataset,
    channel,
    records,
    quantiles[1] AS p50_seconds,
    quantiles[2] AS p90_seconds,
    quantiles[3] AS p99_seconds,
    max_seconds
FROM spread
