-- Grain: account, user_id.
WITH firsts AS (
    SELECT
        account,
        arg_min_null(member, (started_at, record_id)) AS member
    FROM local_usage
    WHERE started_at IS NOT NULL AND party IS NOT NULL
    GROUP BY account, party
),

introductions AS (
    SELECT
        account,
        member,
        count(*) AS new_counterparties
    FROM firsts
    GROUP BY account, member
),

open_minutes AS (
    SELECT
        account,
        weekday,
        unnest(generate_series(opens_minute, closes_minute - 1)) AS minute_of_day
    FROM publication.business_hours
),

in_hours AS (
    SELECT
        account,
        member,
        count(*) AS records
    FROM local_usage
    SEMI JOIN open_minutes
        ON open_minutes.account = local_usage.account
        AND open_minutes.weekday = isodow(local_at)
        AND open_minutes.minute_of_day = hour(local_at) * 60 + minute(local_at)
    GROUP BY account, member
),

totals AS (
    SELECT
        account,
        user_id,
        member,
        count(*) AS records,
        count(*) FILTER (WHERE channel = 'call' AND direction = 'in') AS calls_in,
        count(*) FILTER (WHERE channel = 'call' AND direction = 'out') AS calls_out,
        count(*) FILTER (WHERE channel = 'text' AND direction = 'in') AS texts_in,
        count(*) FILTER (WHERE channel = 'text' AND direction = 'out') AS texts_out,
        count(*) FILTER (WHERE channel = 'fax' AND direction = 'in') AS faxes_in,
        count(*) FILTER (WHERE channel = 'fax' AND direction = 'out') AS faxes_out,
        sum(minutes) AS minutes,
        sum(credits) AS credits,
        count(started_at) AS dated,
        min(started_at) AS first_at,
        max(started_at) AS last_at
    FROM local_usage
    GROUP BY ALL
),

known AS (
    SELECT
        account,
        member,
        count(party) AS counterparties
    FROM chats
    GROUP BY account, member
)

SELECT
    totals.account,
    totals.user_id,
    totals.records,
    calls_in,
    calls_out,
    texts_in,
    texts_out,
    faxes_in,
    faxes_out,
    minutes,
    credits,
    counterparties,
    coalesce(new_counterparties, 0) AS new_counterparties,
    first_at,
    last_at,
    (dated - coalesce(in_hours.records, 0)) / nullif(dated, 0) AS after_hours_share
FROM totals
INNER JOIN known
    ON known.account = totals.account
    AND known.member IS NOT DISTINCT FROM totals.member
LEFT JOIN introductions
    ON introductions.account = totals.account
    AND introductions.member IS NOT DISTINCT FROM totals.member
LEFT JOIN in_hours
    ON in_hours.account = totals.account
    AND in_hours.member IS NOT DISTINCT FROM totals.member
