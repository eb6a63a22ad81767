-- One row per account and interval of IPLUM_BUSINESS_HOURS on a day, with its opening and closing time, and the business
-- seconds of all earlier rows. The wait between two instants is the difference of the business seconds before them.
WITH spans AS (
    SELECT
        account,
        min(local_date) AS first_date,
        max(local_date) AS last_date
    FROM activity
    GROUP BY account
),

days AS (
    SELECT
        account,
        time_zone,
        unnest(generate_series(
            first_date - INTERVAL 1 DAY,
            greatest(last_date, (as_of AT TIME ZONE time_zone)::DATE) + INTERVAL 1 DAY,
            INTERVAL 1 DAY
        )) AS midnight
    FROM spans
    INNER JOIN publication.settings USING (account)
),

intervals AS (
    SELECT
        days.account,
        (midnight + to_minutes(opens_minute)) AT TIME ZONE time_zone AS opens_at,
        (midnight + to_minutes(closes_minute)) AT TIME ZONE time_zone AS closes_at
    FROM days
    INNER JOIN publication.business_hours AS hours
        ON hours.account = days.account
        AND hours.weekday = isodow(midnight)
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
-- An interval within an hour that the clock skips is empty.
WHERE closes_at > opens_at
