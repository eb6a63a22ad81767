-- One row per usage record, with the account's local time and whether the office was open when it started.
WITH open_minutes AS (
    SELECT
        weekday,
        unnest(generate_series(opens_minute, closes_minute - 1)) AS minute_of_day
    FROM publication.business_hours
),

localized AS (
    SELECT
        usage.*,
        usage.started_at AT TIME ZONE settings.time_zone AS local_at
    FROM usage
    CROSS JOIN publication.settings AS settings
)

SELECT
    localized.*,
    local_at::DATE AS local_date,
    CASE WHEN channel = 'call' THEN duration_minutes END AS minutes,
    CASE WHEN local_at IS NOT NULL THEN open_minutes.weekday IS NOT NULL END AS in_business_hours
FROM localized
LEFT JOIN open_minutes
    ON open_minutes.weekday = isodow(local_at)
    AND open_minutes.minute_of_day = hour(local_at) * 60 + minute(local_at)
