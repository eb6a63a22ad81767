-- One row per account: when the data were published, up to when they reach, and by which clock; one of nulls at first.
SELECT
    account,
    published_at AT TIME ZONE coalesce(time_zone, 'UTC') AS published,
    as_of AT TIME ZONE time_zone AS reaches,
    time_zone,
    business_hours
FROM publication.build
LEFT JOIN publication.settings ON TRUE
ORDER BY account
