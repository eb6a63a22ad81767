-- One row per account: publish time, latest pull and time zone. One row of nulls without accounts.
SELECT
    account,
    published_at AT TIME ZONE coalesce(time_zone, 'UTC') AS published,
    as_of AT TIME ZONE time_zone AS reaches,
    time_zone,
    business_hours
FROM publication.build
LEFT JOIN publication.settings ON TRUE
ORDER BY account
