-- One row per stretch of business hours, as instants, with the business seconds that passed before it.
WITH days AS (
    SELECT
        time_zone,
        unnest(generate_series(
            (SELECT min(local_date) FROM local_usage)::TIMESTAMP - INTERVAL 1 DAY,
            greatest((SELECT max(local_date) FROM local_usage), (as_of AT TIME ZONE time_zone)::DATE)::TIMESTAMP
            + INTERVAL 1 DAY,
            INTERVAL 1 DAY
        )) AS midnight
    FROM publication.settings
),

stretches AS (
    SELECT
        (midnight + to_minutes(opens_minute)) AT TIME ZONE time_zone AS opens_at,
        (midnight + to_minutes(closes_minute)) AT TIME ZONE time_zone AS closes_at
    FROM days
    INNER JOIN publication.business_hours AS hours ON hours.weekday = isodow(midnight)
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
