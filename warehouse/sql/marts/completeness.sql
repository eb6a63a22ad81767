-- Grain: account, dataset, window_start.
WITH asked AS (
    SELECT
        account,
        dataset,
        window_start,
        max(pulled_at) AS last_pulled_at,
        count(DISTINCT pull_id) AS pulls,
        CASE
            WHEN bool_or(complete AND reason = 'audit') THEN 'audit'
            WHEN bool_or(complete AND reason = 'halves') THEN 'halves'
            WHEN bool_or(complete AND reason = 'split') THEN 'split'
            WHEN bool_or(complete AND reason = 'pull') THEN 'pull'
        END AS verified_by
    FROM pulls
    WHERE reason NOT IN ('stray', 'callback') AND "rows" IS NOT NULL
    GROUP BY ALL
),

records AS (
    SELECT
        account,
        'usage' AS dataset,
        window_start,
        origin,
        absent_since
    FROM usage
    UNION ALL
    SELECT
        account,
        'recordings' AS dataset,
        window_start,
        origin,
        absent_since
    FROM recordings
),

held AS (
    SELECT
        account,
        dataset,
        window_start,
        count(*) AS "rows",
        count(*) FILTER (WHERE origin = 'callback') AS callback_only,
        count(absent_since) AS absent
    FROM records
    GROUP BY ALL
)

SELECT
    account,
    dataset,
    window_start,
    last_pulled_at,
    coalesce(pulls, 0) AS pulls,
    coalesce("rows", 0) AS "rows",
    coalesce(callback_only, 0) AS callback_only,
    coalesce(absent, 0) AS absent,
    verified_by
FROM asked
FULL JOIN held USING (account, dataset, window_start)
