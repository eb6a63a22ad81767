-- One row per account, business-hours interval, and UTC day from its opening up to the next one (`until`), with the
-- business seconds before it. Joined by day, because DuckDB's ASOF join takes five times as long.
WITH dated AS (
    SELECT
        account,
        min(local_date) AS first_day,
        max(local_date) AS last_day
    FROM local_usage
    INNER JOIN labels USING (label)
    GROUP BY account
),

span AS (
    SELECT
        account,
        time_zone,
        unnest(generate_series(
            first_day::TIMESTAMP - INTERVAL 2 DAYS,
            greatest(last_day, (as_of AT TIME ZONE time_zone)::DATE)::TIMESTAMP
            + INTERVAL 2 DAYS,
            INTERVAL 1 DAY
        )) AS begins
    FROM dated
    INNER JOIN publication.settings USING (account)
),

-- UTC days, with the offset of local time at their start and end.
days AS (
    SELECT
        account,
        time_zone,
        begins,
        (begins AT TIME ZONE 'UTC') AT TIME ZONE time_zone - begins AS ahead,
        lead((begins AT TIME ZONE 'UTC') AT TIME ZONE time_zone - begins) OVER by_account AS ahead_after
    FROM span
    WINDOW by_account AS (PARTITION BY account ORDER BY begins)
),

-- A day with a clock change is split into quarters of an hour, so that each part has one offset.
pieces AS (
    SELECT
        account,
        begins,
        begins + INTERVAL 1 DAY AS ends,
        ahead
    FROM days
    WHERE ahead = ahead_after
    UNION ALL
    SELECT
        account,
        begins + quarter * INTERVAL 15 MINUTES AS begins,
        begins + (quarter + 1) * INTERVAL 15 MINUTES AS ends,
        ((begins + quarter * INTERVAL 15 MINUTES) AT TIME ZONE 'UTC') AT TIME ZONE time_zone
        - (begins + quarter * INTERVAL 15 MINUTES) AS ahead
    FROM days
    CROSS JOIN range(96) AS quarters (quarter)
    WHERE ahead <> ahead_after
),

-- A part can touch two local days.
local_days AS (
    SELECT
        *,
        date_trunc('day', begins + ahead)::DATE + unnest([0, 1]) AS local_day
    FROM pieces
),

stretches AS (
    SELECT
        local_days.account,
        epoch_us(greatest(begins, local_day + to_minutes(opens_minute) - ahead)) AS opens,
        epoch_us(least(ends, local_day + to_minutes(closes_minute) - ahead)) AS closes
    FROM local_days
    INNER JOIN publication.business_hours AS hours
        ON hours.account = local_days.account
        AND hours.weekday = isodow(local_day)
),

counted AS (
    SELECT
        account,
        opens,
        closes,
        -- Hours repeat weekly, so the next interval opens within eight days.
        lead(opens, 1, closes + 8 * 86400000000) OVER by_account AS until,
        coalesce(
            sum((closes - opens) / 1e6) OVER (by_account ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0
        ) AS seconds_before
    FROM stretches
    WHERE closes > opens
    WINDOW by_account AS (PARTITION BY account ORDER BY opens)
)

SELECT
    *,
    unnest(range(opens // 86400000000, (until - 1) // 86400000000 + 1)) AS utc_day
FROM counted
