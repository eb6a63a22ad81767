-- One row per account and UTC day with a record: the UTC offset of local time in microseconds, null on days when it changes.
-- Converting the time zone of each of ten million records would double the time of building the marts.
SELECT
    account,
    utc_day,
    CASE WHEN ahead = ahead_after THEN ahead END AS ahead
FROM (
    SELECT
        account,
        utc_day,
        epoch_us((utc_day::TIMESTAMP AT TIME ZONE 'UTC') AT TIME ZONE time_zone) - epoch_us(utc_day::TIMESTAMP)
            AS ahead,
        epoch_us(((utc_day + 1)::TIMESTAMP AT TIME ZONE 'UTC') AT TIME ZONE time_zone)
        - epoch_us((utc_day + 1)::TIMESTAMP) AS ahead_after
    FROM (SELECT DISTINCT account, make_timestamp(epoch_us(started_at))::DATE AS utc_day FROM usage)
    INNER JOIN publication.settings USING (account)
)
WHERE utc_day IS NOT NULL
