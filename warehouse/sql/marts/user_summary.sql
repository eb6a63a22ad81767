-- Grain: account, user_id.
WITH firsts AS (
    SELECT
        account,
        arg_min_null(user_id, (started_at, record_id)) AS user_id
    FROM local_usage
    WHERE started_at IS NOT NULL AND counterparty IS NOT NULL
    GROUP BY account, counterparty
),

introductions AS (
    SELECT
        account,
        user_id,
        count(*) AS new_counterparties
    FROM firsts
    GROUP BY ALL
)

SELECT
    local_usage.account,
    local_usage.user_id,
    count(*) AS records,
    count(*) FILTER (WHERE channel = 'call' AND direction = 'in') AS calls_in,
    count(*) FILTER (WHERE channel = 'call' AND direction = 'out') AS calls_out,
    count(*) FILTER (WHERE channel = 'text' AND direction = 'in') AS texts_in,
    count(*) FILTER (WHERE channel = 'text' AND direction = 'out') AS texts_out,
    count(*) FILTER (WHERE channel = 'fax' AND direction = 'in') AS faxes_in,
    count(*) FILTER (WHERE channel = 'fax' AND direction = 'out') AS faxes_out,
    sum(minutes) AS minutes,
    sum(credits) AS credits,
    count(DISTINCT counterparty) AS counterparties,
    coalesce(any_value(new_counterparties), 0) AS new_counterparties,
    min(started_at) AS first_at,
    max(started_at) AS last_at,
    count(*) FILTER (WHERE NOT in_business_hours) / nullif(count(started_at), 0) AS after_hours_share
FROM local_usage
LEFT JOIN introductions
    ON introductions.account = local_usage.account
    AND introductions.user_id IS NOT DISTINCT FROM local_usage.user_id
GROUP BY ALL
