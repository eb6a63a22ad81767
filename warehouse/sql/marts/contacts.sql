-- Grain: account, counterparty.
-- One row per counterparty, over all of history. Days and "new" are as of the account's latest pull.
WITH histories AS (
    SELECT
        account,
        min(started_at) AS began_at
    FROM activity
    GROUP BY account
),

contacts AS (
    SELECT
        account,
        counterparty,
        min(counterparty_kind) AS kind,
        min(started_at) AS first_seen,
        max(started_at) AS last_seen,
        count(*) FILTER (WHERE channel = 'call' AND direction = 'in') AS calls_in,
        count(*) FILTER (WHERE channel = 'call' AND direction = 'out') AS calls_out,
        count(*) FILTER (WHERE channel = 'text' AND direction = 'in') AS texts_in,
        count(*) FILTER (WHERE channel = 'text' AND direction = 'out') AS texts_out,
        count(*) FILTER (WHERE channel = 'fax' AND direction = 'in') AS faxes_in,
        count(*) FILTER (WHERE channel = 'fax' AND direction = 'out') AS faxes_out,
        count(*) AS records,
        sum(duration_minutes) FILTER (WHERE channel = 'call') AS minutes,
        exact_sum(credits) AS credits,
        count(DISTINCT user_id) AS users,
        -- The names at the latest record.
        arg_max_null(user_name, {'started_at': started_at, 'record_id': record_id}) FILTER (WHERE started_at IS NOT NULL) AS user_name,
        arg_max_null(counterparty_name, {'started_at': started_at, 'record_id': record_id}) FILTER (WHERE started_at IS NOT NULL) AS counterparty_name,
        arg_max_null(team, {'started_at': started_at, 'record_id': record_id}) FILTER (WHERE started_at IS NOT NULL) AS team
    FROM activity
    GROUP BY account, counterparty
)

SELECT
    contacts.*,
    greatest(
        date_diff('day', (last_seen AT TIME ZONE time_zone)::DATE, (as_of AT TIME ZONE time_zone)::DATE), 0
    ) AS days_since,
    CASE
        WHEN first_seen >= began_at + INTERVAL 30 DAYS THEN first_seen >= as_of - INTERVAL 30 DAYS
    END AS is_new
FROM contacts
INNER JOIN histories USING (account)
INNER JOIN publication.settings USING (account)
