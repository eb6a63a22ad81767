-- One row per account, with its latest pull.
SELECT
    account,
    max(pulled_at) AS as_of
FROM (
    SELECT account, pulled_at
    FROM pulls
    UNION ALL
    SELECT DISTINCT account, NULL::TIMESTAMPTZ
    FROM usage
    UNION ALL
    SELECT DISTINCT account, NULL::TIMESTAMPTZ
    FROM recordings
)
GROUP BY account
ORDER BY account
