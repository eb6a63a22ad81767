-- One row per account and interval of IPLUM_BUSINESS_HOURS on a day, with its opening and closing time, and the business
-- seconds of all earlier rows. The wait between two instants is the difference of the business seconds before them.
WITH spans AS (
    SELECT
        activity.account,
        any_value(time_zone) AS time_zone,
        min(local_date) - INTERVAL 1 DAY AS first_midnight,
        greatest(max(local_date), (any_value(as_of) AT TIME ZONE any_value(time_zone))::DATE) + INTERVAL 1 DAY
            AS last_midnight
    FROM activity
    INNER JOIN publication.settings AS settings
        ON settings.account = activity.account
    GROUP BY activity.account
),

-- The periods between clock changes: a time zone has one UTC offset in each. Clocks change on the half hour.
half_hours AS (
    SELECT
        time_zone,
        unnest(generate_series(
            min(first_midnight) - INTERVAL 1 DAY, max(last_midnight) + INTERVAL 2 DAYS, INTERVAL 30 MINUTES
        )) AS utc_time
    FROM spans
    GROUP BY time_zone
),

changes AS (
    SELECT
        time_zone,
        utc_time,
        (utc_time AT TIME ZONE 'UTC') AT TIME ZONE time_zone - utc_time AS utc_offset
    FROM half_hours
    QUALIFY utc_offset IS DISTINCT FROM lag(utc_offset) OVER (PARTITION BY time_zone ORDER BY utc_time)
),

periods AS (
    SELECT
        time_zone,
        utc_offset,
        utc_time AS begins,
        lead(utc_time) OVER (PARTITION BY time_zone ORDER BY utc_time) AS ends
    FROM changes
),

days AS (
    SELECT
        account,
        time_zone,
        unnest(generate_series(first_midnight, last_midnight, INTERVAL 1 DAY)) AS midnight
    FROM spans
),

-- On the day of a clock change, an interval can be in both periods, or open a second time.
intervals AS (
    SELECT
        days.account,
        greatest(begins, midnight + to_minutes(opens_minute) - utc_offset) AT TIME ZONE 'UTC' AS opens_at,
        least(ends, midnight + to_minutes(closes_minute) - utc_offset) AT TIME ZONE 'UTC' AS closes_at
    FROM days
    INNER JOIN publication.business_hours AS hours
        ON hours.account = days.account
        AND hours.weekday = isodow(midnight)
    INNER JOIN periods
        ON periods.time_zone = days.time_zone
)

SELECT
    account,
    opens_at,
    closes_at,
    coalesce(
        sum(seconds_between(opens_at, closes_at)) OVER (
            PARTITION BY account
            ORDER BY opens_at
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ),
        0
    ) AS seconds_before
FROM intervals
WHERE closes_at > opens_at
