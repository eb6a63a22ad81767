-- Grain: account, counterparty.
WITH histories AS (
    SELECT
        account,
        min(first_starts) AS began
    FROM chats
    GROUP BY account
),

contacts AS (
    SELECT
        party,
        make_timestamptz(min(first_starts)) AS first_seen,
        make_timestamptz(max(last_starts)) AS last_seen,
        sum(calls_in) AS calls_in,
        sum(calls_out) AS calls_out,
        sum(texts_in) AS texts_in,
        sum(texts_out) AS texts_out,
        sum(faxes_in) AS faxes_in,
        sum(faxes_out) AS faxes_out,
        sum(records) AS records,
        sum(minutes) AS minutes,
        exact_sum(credits) AS credits,
        count(*) FILTER (WHERE member > 0) AS users
    FROM chats
    GROUP BY party
)

SELECT
    contacts.* EXCLUDE (party),
    account,
    counterparty,
    kind,
    greatest(
        date_diff('day', (last_seen AT TIME ZONE time_zone)::DATE, (as_of AT TIME ZONE time_zone)::DATE), 0
    ) AS days_since,
    CASE
        WHEN first_seen >= make_timestamptz(began) + INTERVAL 30 DAYS THEN first_seen >= as_of - INTERVAL 30 DAYS
    END AS is_new
FROM contacts
INNER JOIN parties USING (party)
INNER JOIN histories USING (account)
INNER JOIN publication.settings USING (account)
