-- Grain: account, dataset, local_date.
-- One row per dataset and day with records, from the first callback on.
WITH records AS (
    SELECT
        account,
        'usage' AS dataset,
        started_at,
        origin
    FROM usage
    UNION ALL
    SELECT
        account,
        'recordings' AS dataset,
        recorded_at AS started_at,
        origin
    FROM recordings
),

switched_on AS (
    SELECT
        account,
        dataset,
        min(started_at) AS since
    FROM records
    WHERE origin IN ('callback', 'both')
    GROUP BY ALL
),

days AS (
    SELECT
        account,
        dataset,
        (started_at AT TIME ZONE time_zone)::DATE AS local_date,
        count(*) FILTER (WHERE origin = 'both') AS pushed_and_pulled,
        count(*) FILTER (WHERE origin = 'callback') AS pushed_only,
        count(*) FILTER (WHERE origin = 'pull') AS pulled_only
    FROM records
    INNER JOIN switched_on USING (account, dataset)
    INNER JOIN publication.settings USING (account)
    WHERE started_at >= since
    GROUP BY ALL
)

SELECT
    *,
    pulled_only / nullif(pushed_and_pulled + pulled_only, 0) AS loss_rate
FROM days
