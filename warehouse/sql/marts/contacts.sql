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
        party,
        any_value(counterparty) AS counterparty,
        min(kind) AS kind
    FROM chats
    GROUP BY account, party
),

contacts AS (
    SELECT
        account,
        party,
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
        count(DISTINCT member) AS users
    FROM local_usage
    GROUP BY account, party
)

SELECT
    contacts.* EXCLUDE (party),
    counterparty,
    kind,
    date_diff('day', (last_seen AT TIME ZONE time_zone)::DATE, (as_of AT TIME ZONE time_zone)::DATE) AS days_since,
    CASE
        WHEN first_seen >= began_at + INTERVAL 30 DAYS THEN first_seen >= as_of - INTERVAL 30 DAYS
    END AS is_new
FROM contacts
INNER JOIN histories USING (account)
INNER JOIN kinds
    ON kinds.account = contacts.account
    AND kinds.party IS NOT DISTINCT FROM contacts.party
INNER JOIN publication.settings ON settings.account = contacts.account
