-- Grain: account, counterparty.
WITH histories AS (
    SELECT
        account,
        min(started_at) AS began_at
    FROM local_usage
    GROUP BY account
),

kinds AS (
    SELECT
        account,
        counterparty,
        min(counterparty_kind) AS kind
    FROM usage
    GROUP BY account, counterparty
),

contacts AS (
    SELECT
        any_value(account) AS account,
        any_value(counterparty) AS counterparty,
        min(started_at) AS first_seen,
        max(started_at) AS last_seen,
        count(*) FILTER (WHERE channel = 'call' AND direction = 'in') AS calls_in,
        count(*) FILTER (WHERE channel = 'call' AND direction = 'out') AS calls_out,
        count(*) FILTER (WHERE channel = 'text' AND direction = 'in') AS texts_in,
        count(*) FILTER (WHERE channel = 'text' AND direction = 'out') AS texts_out,
        count(*) FILTER (WHERE channel = 'fax' AND direction = 'in') AS faxes_in,
        count(*) FILTER (WHERE channel = 'fax' AND direction = 'out') AS faxes_out,
        count(*) AS records,
        sum(minutes) AS minutes,
        sum(credits) AS credits,
        count(DISTINCT CASE WHEN user_id IS NOT NULL THEN member END) AS users
    FROM local_usage
    GROUP BY party
)

SELECT
    contacts.*,
    kind,
    date_diff('day', (last_seen AT TIME ZONE time_zone)::DATE, (as_of AT TIME ZONE time_zone)::DATE) AS days_since,
    CASE
        WHEN first_seen >= began_at + INTERVAL 30 DAYS THEN first_seen >= as_of - INTERVAL 30 DAYS
    END AS is_new
FROM contacts
INNER JOIN histories USING (account)
INNER JOIN kinds
    ON kinds.account = contacts.account
    AND kinds.counterparty IS NOT DISTINCT FROM contacts.counterparty
CROSS JOIN publication.settings
