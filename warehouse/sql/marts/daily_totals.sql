-- Grain: account, local_date, channel; every day from the account's first to its last, and null for records without a start.
WITH RECURSIVE internal AS (
    SELECT
        label,
        channel,
        direction,
        CASE direction WHEN 'in' THEN party ELSE own_party END AS sender,
        CASE direction WHEN 'in' THEN own_party ELSE party END AS receiver,
        member,
        starts,
        record_id,
        local_date,
        minutes
    FROM local_usage
    INNER JOIN labels USING (label)
    WHERE own_party IS NOT NULL AND direction IN ('in', 'out') AND starts IS NOT NULL
),

-- A burst ends when neither side has a record for more than 5 seconds.
gaps AS (
    SELECT
        *,
        starts - lag(starts) OVER (PARTITION BY channel, sender, receiver ORDER BY starts) <= 5000000 AS goes_on
    FROM internal
),

numbered AS (
    SELECT
        *,
        count(CASE WHEN goes_on THEN NULL ELSE 1 END) OVER (
            ORDER BY channel, sender, receiver, starts, goes_on NULLS FIRST
        ) AS burst
    FROM gaps
),

bursts AS (
    SELECT
        burst,
        count(*) AS records,
        any_value(label) FILTER (WHERE direction = 'in') AS label,
        any_value(local_date) FILTER (WHERE direction = 'in') AS local_date,
        any_value(minutes) FILTER (WHERE direction = 'in') AS minutes,
        min(member) <> max(member) AS has_two_users
    FROM numbered
    GROUP BY burst
    HAVING bool_or(direction = 'in') AND bool_or(direction = 'out')
),

-- In longer bursts, the first outbound record pairs with the first inbound one. If they are too far apart, or belong to
-- one user, the earlier one has no pair and the next one is tried.
queues AS (
    SELECT
        list(
            {'starts': starts, 'member': member, 'label': label, 'local_date': local_date, 'minutes': minutes}
            ORDER BY starts, record_id
        ) FILTER (WHERE direction = 'out') AS outs,
        list(
            {'starts': starts, 'member': member, 'label': label, 'local_date': local_date, 'minutes': minutes}
            ORDER BY starts, record_id
        ) FILTER (WHERE direction = 'in') AS ins
    FROM numbered
    SEMI JOIN (SELECT burst FROM bursts WHERE records > 2) AS longer USING (burst)
    GROUP BY burst
),

steps AS (
    SELECT
        outs,
        ins,
        1 AS nth_out,
        1 AS nth_in,
        CASE WHEN FALSE THEN ins[1] END AS mirror
    FROM queues
    UNION ALL
    SELECT
        outs,
        ins,
        nth_out + (is_pair OR ahead >= 0)::INTEGER AS nth_out,
        nth_in + (is_pair OR ahead < 0)::INTEGER AS nth_in,
        CASE WHEN is_pair THEN ins[nth_in] END AS mirror
    FROM (
        SELECT
            *,
            ins[nth_in].starts - outs[nth_out].starts AS ahead,
            abs(ahead) <= 5000000 AND ins[nth_in].member <> outs[nth_out].member AS is_pair
        FROM steps
        WHERE nth_out <= len(outs) AND nth_in <= len(ins)
    )
),

mirrors AS (
    SELECT
        label,
        local_date,
        minutes
    FROM bursts
    WHERE records = 2 AND has_two_users
    UNION ALL
    SELECT
        mirror.label,
        mirror.local_date,
        mirror.minutes
    FROM steps
    WHERE mirror IS NOT NULL
),

mirrored AS (
    SELECT
        account,
        local_date,
        channel,
        count(*) AS mirrored_pairs,
        sum(minutes) AS mirrored_minutes
    FROM mirrors
    INNER JOIN labels USING (label)
    GROUP BY ALL
),

totals AS (
    SELECT
        account,
        local_date,
        channel,
        count(*) AS rows_listed,
        sum(minutes) AS minutes,
        exact_sum(credits) AS credits,
        count(DISTINCT member) FILTER (WHERE member > 0) AS users,
        count(DISTINCT party) FILTER (WHERE party > 0) AS counterparties
    FROM local_usage
    INNER JOIN labels USING (label)
    GROUP BY ALL
),

days AS (
    SELECT
        account,
        unnest(generate_series(min(local_date)::TIMESTAMP, max(local_date)::TIMESTAMP, INTERVAL 1 DAY))::DATE
            AS local_date
    FROM totals
    GROUP BY account
),

calendar AS (
    SELECT
        account,
        local_date,
        channel
    FROM days
    INNER JOIN (SELECT DISTINCT account, channel FROM totals) AS channels USING (account)
)

SELECT
    coalesce(calendar.account, totals.account) AS account,
    coalesce(calendar.local_date, totals.local_date) AS local_date,
    coalesce(calendar.channel, totals.channel) AS channel,
    coalesce(rows_listed, 0) - coalesce(mirrored_pairs, 0) AS records,
    CASE
        WHEN rows_listed IS NULL AND calendar.channel = 'call' THEN 0
        ELSE minutes - coalesce(mirrored_minutes, 0)
    END AS minutes,
    CASE WHEN rows_listed IS NULL THEN 0 ELSE credits END AS credits,
    coalesce(users, 0) AS users,
    coalesce(counterparties, 0) AS counterparties,
    coalesce(mirrored_pairs, 0) AS mirrored_pairs
FROM calendar
FULL JOIN totals
    ON totals.account = calendar.account
    AND totals.local_date = calendar.local_date
    AND totals.channel IS NOT DISTINCT FROM calendar.channel
LEFT JOIN mirrored
    ON mirrored.account = totals.account
    AND mirrored.local_date = totals.local_date
    AND mirrored.channel IS NOT DISTINCT FROM totals.channel
