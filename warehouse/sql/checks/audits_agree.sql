-- One row per window in which the latest audit found rows that were missing before (`pipelines.steps.audit_windows`).
WITH window_responses AS (
    SELECT
        pulls.*,
        window_end(window_start)
        + to_days(settings.lookback_days) AS settles_at
    FROM pulls
    INNER JOIN publication.settings AS settings USING (account)
    WHERE reason NOT IN ('stray', 'callback') AND "rows" IS NOT NULL
),

audits AS (
    SELECT
        account,
        dataset,
        window_start,
        settles_at,
        min(pulled_at) AS began_at,
        max(pulled_at) AS ended_at
    FROM window_responses
    GROUP BY account, dataset, window_start, settles_at, pull_id
    HAVING bool_or(reason = 'audit')
    QUALIFY row_number() OVER (PARTITION BY account, dataset, window_start ORDER BY max(pulled_at) DESC) = 1
),

expecting_nothing AS (
    SELECT
        audits.account,
        audits.dataset,
        audits.window_start,
        audits.began_at,
        audits.ended_at
    FROM audits
    LEFT JOIN window_responses AS earlier
        ON
            audits.account = earlier.account
            AND audits.dataset = earlier.dataset
            AND audits.window_start = earlier.window_start
            AND earlier.pulled_at < audits.began_at
            AND earlier.complete
    WHERE audits.began_at >= audits.settles_at
    GROUP BY ALL
    HAVING count(earlier.pulled_at) = 0 OR max(earlier.pulled_at) >= any_value(audits.settles_at)
),

records AS (
    SELECT 'usage' AS dataset, account, window_start, first_seen_at
    FROM usage
    UNION ALL
    SELECT 'recordings', account, window_start, first_seen_at
    FROM recordings
)

SELECT
    dataset AS table_name,
    account,
    window_start,
    count(*) AS "rows"
FROM records
INNER JOIN expecting_nothing USING (account, dataset, window_start)
WHERE records.first_seen_at BETWEEN expecting_nothing.began_at AND expecting_nothing.ended_at
GROUP BY dataset, account, window_start
