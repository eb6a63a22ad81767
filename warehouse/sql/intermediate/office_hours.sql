-- One row per stretch of business hours, as instants, with the business seconds that passed before it.
WITH span AS (
    SELECT
        time_zone,
        unnest(generate_series(
            (SELECT min(local_date) FROM local_usage)::TIMESTAMP - INTERVAL 2 DAYS,
            greatest((SELECT max(local_date) FROM local_usage), (as_of AT TIME ZONE time_zone)::DATE)::TIMESTAMP
            + INTERVAL 2 DAYS,
            INTERVAL 1 DAY
        )) AS begins
    FROM publication.settings
),

-- Days of UTC, and what the local clock is ahead of UTC as they begin and end.
days AS (
    SELECT
        time_zone,
        begins,
        (begins AT TIME ZONE 'UTC') AT TIME ZONE time_zone - begins AS ahead,
        lead((begins AT TIME ZONE 'UTC') AT TIME ZONE time_zone - begins) OVER (ORDER BY begins) AS ahead_after
    FROM span
),

-- A day on which the clock changes is cut into quarters of an hour, so that each piece has one offset.
pieces AS (
    SELECT
        begins,
        begins + INTERVAL 1 DAY AS ends,
        ahead
    FROM days
    WHERE ahead = ahead_after
    UNION ALL
    SELECT
        begins + quarter * INTERVAL 15 MINUTES AS begins,
        begins + (quarter + 1) * INTERVAL 15 MINUTES AS ends,
        ((begins + quarter * INTERVAL 15 MINUTES) AT TIME ZONE 'UTC') AT TIME ZONE time_zone
        - (begins + quarter * INTERVAL 15 MINUTES) AS ahead
    FROM days
    CROSS JOIN range(96) AS quarters (quarter)
    WHERE ahead <> ahead_after
),

-- A piece can touch two local days.
local_days AS (
    SELECT
        *,
        date_trunc('day', begins + ahead)::DATE + unnest([0, 1]) AS local_day
    FROM pieces
),

stretches AS (
    SELECT
        greatest(begins, local_day + to_minutes(opens_minute) - ahead) AT TIME ZONE 'UTC' AS opens_at,
        least(ends, local_day + to_minutes(closes_minute) - ahead) AT TIME ZONE 'UTC' AS closes_at
    FROM local_days
    INNER JOIN publication.business_hours AS hours ON hours.weekday = isodow(local_day)
)

SELECT
    opens_at,
    closes_at,
    coalesce(
        sum((epoch_us(closes_at) - epoch_us(opens_at)) / 1e6)
            OVER (ORDER BY opens_at ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING),
        0
    ) AS seconds_before
FROM stretches
WHERE closes_at > opens_at
