-- Grain: account, user_id.
-- One row per user, over all of history. A counterparty is new to the user who has its first record in the account.
WITH first_records AS (
    SELECT
        account,
        counterparty,
        -- Of several records at the same time, the one with the lowest ID counts as the first.
        arg_min_null(user_id, {'started_at': started_at, 'record_id': record_id}) AS user_id
    FROM activity
    WHERE counterparty IS NOT NULL AND started_at IS NOT NULL
    GROUP BY account, counterparty
),

introductions AS (
    SELECT
        account,
        user_id,
        count(*) AS new_counterparties
    FROM first_records
    GROUP BY ALL
),

totals AS (
    SELECT
        account,
        user_id,
        count(*) AS records,
        count(*) FILTER (WHERE channel = 'call' AND direction = 'in') AS calls_in,
        count(*) FILTER (WHERE channel = 'call' AND direction = 'out') AS calls_out,
        count(*) FILTER (WHERE channel = 'text' AND direction = 'in') AS texts_in,
        count(*) FILTER (WHERE channel = 'text' AND direction = 'out') AS texts_out,
        count(*) FILTER (WHERE channel = 'fax' AND direction = 'in') AS faxes_in,
        count(*) FILTER (WHERE channel = 'fax' AND direction = 'out') AS faxes_out,
        sum(duration_minutes) FILTER (WHERE channel = 'call') AS minutes,
        exact_sum(credits) AS credits,
        count(DISTINCT counterparty) AS counterparties,
        min(started_at) AS first_at,
        max(started_at) AS last_at,
        count(*) FILTER (WHERE NOT in_business_hours) / nullif(count(started_at), 0) AS after_hours_share,
        -- The name and team at the latest record.
        arg_max_null(user_name, {'started_at': started_at, 'record_id': record_id}) FILTER (WHERE started_at IS NOT NULL) AS user_name,
        arg_max_null(team, {'started_at': started_at, 'record_id': record_id}) FILTER (WHERE started_at IS NOT NULL) AS team
    FROM activity
    GROUP BY ALL
)

SELECT
    totals.*,
    coalesce(new_counterparties, 0) AS new_counterparties
FROM totals
LEFT JOIN introductions
    ON introductions.account = totals.account
    AND introductions.user_id IS NOT DISTINCT FROM totals.user_id
