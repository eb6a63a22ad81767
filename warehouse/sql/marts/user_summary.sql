-- Grain: account, user_id.
WITH earliest AS (
    SELECT
        party,
        min(first_starts) AS starts
    FROM chats
    WHERE party > 0
    GROUP BY party
),

-- If several users have their first record at the same instant, the record ID decides.
introductions AS (
    SELECT
        party,
        arg_min(member, record_id) AS member
    FROM local_usage
    INNER JOIN earliest USING (party, starts)
    GROUP BY party
),

introduced AS (
    SELECT
        member,
        count(*) AS new_counterparties
    FROM introductions
    GROUP BY member
),

totals AS (
    SELECT
        member,
        sum(records) AS records,
        sum(calls_in) AS calls_in,
        sum(calls_out) AS calls_out,
        sum(texts_in) AS texts_in,
        sum(texts_out) AS texts_out,
        sum(faxes_in) AS faxes_in,
        sum(faxes_out) AS faxes_out,
        sum(minutes) AS minutes,
        exact_sum(credits) AS credits,
        count(*) FILTER (WHERE party > 0) AS counterparties,
        make_timestamptz(min(first_starts)) AS first_at,
        make_timestamptz(max(last_starts)) AS last_at,
        (sum(dated) - sum(in_hours)) / nullif(sum(dated), 0) AS after_hours_share
    FROM chats
    GROUP BY member
)

SELECT
    totals.* EXCLUDE (member),
    account,
    user_id,
    coalesce(new_counterparties, 0) AS new_counterparties
FROM totals
INNER JOIN members USING (member)
LEFT JOIN introduced USING (member)
