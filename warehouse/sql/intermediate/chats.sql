-- One row per user and counterparty, with their records over all of history.
WITH totals AS (
    SELECT
        chat,
        any_value(member) AS member,
        any_value(party) AS party,
        min(starts) AS first_starts,
        max(starts) AS last_starts,
        count(starts) AS dated,
        count(opens_minute) AS in_hours,
        count(*) FILTER (WHERE channel = 'call' AND direction = 'in') AS calls_in,
        count(*) FILTER (WHERE channel = 'call' AND direction = 'out') AS calls_out,
        count(*) FILTER (WHERE channel = 'text' AND direction = 'in') AS texts_in,
        count(*) FILTER (WHERE channel = 'text' AND direction = 'out') AS texts_out,
        count(*) FILTER (WHERE channel = 'fax' AND direction = 'in') AS faxes_in,
        count(*) FILTER (WHERE channel = 'fax' AND direction = 'out') AS faxes_out,
        count(*) AS records,
        sum(minutes) AS minutes,
        sum(credits) AS credits
    FROM local_usage
    INNER JOIN labels USING (label)
    LEFT JOIN publication.business_hours AS hours
        ON hours.account = labels.account
        AND hours.weekday = isodow(local_date)
        AND hour(local_at) * 60 + minute(local_at) >= opens_minute
        AND hour(local_at) * 60 + minute(local_at) < closes_minute
    GROUP BY chat
)

SELECT
    totals.*,
    members.account,
    user_id,
    counterparty
FROM totals
INNER JOIN members USING (member)
INNER JOIN parties USING (party)
