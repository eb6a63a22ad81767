-- Grain: account, dataset, window_start.
-- One row per dataset and window with a pull or records: how often it was requested, and whether a pull covers it wholly.
WITH window_responses AS (
    SELECT *
    FROM pulls
    WHERE reason NOT IN ('stray', 'callback') AND "rows" IS NOT NULL
),

covering AS (
    SELECT
        account,
        dataset,
        window_start,
        pull_id,
        request_start,
        request_end,
        usage_types,
        max(request_end) OVER (
            PARTITION BY account, dataset, window_start, pull_id
            ORDER BY request_start, request_end
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS reached
    FROM window_responses
    WHERE complete
),

-- Pulls whose complete responses cover their window without a gap.
whole AS (
    SELECT
        account,
        dataset,
        window_start,
        pull_id,
        count(usage_types) AS parts
    FROM covering
    GROUP BY ALL
    HAVING
        min(request_start) <= window_start::TIMESTAMP AT TIME ZONE 'UTC'
        AND max(request_end) >= window_end(window_start)
        AND NOT bool_or(coalesce(request_start > reached, FALSE))
),

proofs AS (
    SELECT
        account,
        dataset,
        window_start,
        max(pulled_at) AS proven_at,
        CASE
            WHEN bool_or(reason = 'audit') THEN 'audit'
            WHEN bool_or(reason = 'split') THEN 'split'
            WHEN bool_or(reason = 'halves') THEN 'halves'
            ELSE 'pull'
        END AS proof
    FROM window_responses
    INNER JOIN whole USING (account, dataset, window_start, pull_id)
    GROUP BY account, dataset, window_start, pull_id
),

verified AS (
    SELECT
        account,
        dataset,
        window_start,
        max(proven_at) FILTER (WHERE proof = 'audit') AS audited_at,
        CASE
            WHEN bool_or(proof = 'audit') THEN 'audit'
            WHEN bool_or(proof = 'halves') THEN 'halves'
            WHEN bool_or(proof = 'split') THEN 'split'
            WHEN bool_or(proof = 'pull') THEN 'pull'
        END AS verified_by
    FROM proofs
    GROUP BY ALL
),

-- A whole pull requested a usage type if each complete response did.
requested_types AS (
    SELECT
        account,
        dataset,
        window_start,
        pull_id,
        parts,
        unnest(string_split(usage_types, ',')) AS usage_type
    FROM window_responses
    INNER JOIN whole USING (account, dataset, window_start, pull_id)
    WHERE complete
),

whole_types AS (
    SELECT
        account,
        dataset,
        window_start,
        usage_type
    FROM requested_types
    GROUP BY account, dataset, window_start, pull_id, parts, usage_type
    HAVING count(*) = parts
),

window_types AS (
    SELECT
        account,
        dataset,
        window_start,
        list(DISTINCT usage_type) AS types
    FROM whole_types
    GROUP BY ALL
),

account_types AS (
    SELECT
        account,
        dataset,
        list(DISTINCT usage_type) AS all_types
    FROM whole_types
    GROUP BY ALL
),

asked AS (
    SELECT
        account,
        dataset,
        window_start,
        max(pulled_at) AS last_pulled_at,
        count(DISTINCT pull_id) AS pulls
    FROM window_responses
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
    verified_by,
    audited_at,
    array_to_string(list_sort(types), ',') AS pulled_types,
    nullif(
        array_to_string(list_sort(list_filter(all_types, lambda t: NOT list_contains(coalesce(types, []), t))), ','),
        ''
    ) AS missing_types
FROM asked
FULL JOIN held USING (account, dataset, window_start)
LEFT JOIN verified USING (account, dataset, window_start)
LEFT JOIN window_types USING (account, dataset, window_start)
LEFT JOIN account_types USING (account, dataset)
