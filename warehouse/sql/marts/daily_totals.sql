-- Grain: account, local_date, channel; every day from the account's first to its last, and null for undated records.
WITH own_parties AS (
    SELECT DISTINCT
        account,
        CASE direction WHEN 'in' THEN to_party WHEN 'out' THEN from_party END AS party
    FROM local_usage
),

internal_parties AS (
    SELECT DISTINCT party
    FROM chats
    SEMI JOIN own_parties
        ON own_parties.account = chats.account
        AND own_parties.party = chats.counterparty
),

internal AS (
    SELECT
        account,
        channel,
        from_party,
        to_party,
        direction,
        user_id,
        started_at,
        record_id,
        local_date,
        minutes
    FROM local_usage
    SEMI JOIN internal_parties USING (party)
    WHERE direction IN ('in', 'out') AND started_at IS NOT NULL
),

-- A burst ends where neither side has anything for more than 5 seconds; its nth out goes with its nth in.
gaps AS (
    SELECT
        *,
        epoch_us(started_at) - lag(epoch_us(started_at)) OVER chat > 5000000 AS begins
    FROM internal
    WINDOW chat AS (PARTITION BY account, channel, from_party, to_party ORDER BY started_at, record_id)
),

bursts AS (
    SELECT
        *,
        sum(coalesce(begins, TRUE)::INTEGER) OVER (
            PARTITION BY account, channel, from_party, to_party ORDER BY started_at, record_id
        ) AS burst
    FROM gaps
),

numbered AS (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY account, channel, from_party, to_party, burst, direction ORDER BY started_at, record_id
        ) AS place
    FROM bursts
),

mirrored AS (
    SELECT
        ins.account,
        ins.local_date,
        ins.channel,
        count(*) AS mirrored_pairs,
        sum(ins.minutes) AS mirrored_minutes
    FROM numbered AS ins
    INNER JOIN numbered AS outs
        USING (account, channel, from_party, to_party, burst, place)
    WHERE
        ins.direction = 'in'
        AND outs.direction = 'out'
        AND ins.user_id IS DISTINCT FROM outs.user_id
        AND abs(epoch_us(ins.started_at) - epoch_us(outs.started_at)) <= 5000000
    GROUP BY ALL
),

totals AS (
    SELECT
        account,
        local_date,
        channel,
        count(*) AS rows_listed,
        sum(minutes) AS minutes,
        sum(credits) AS credits,
        count(DISTINCT member) AS users,
        count(DISTINCT party) AS counterparties
    FROM local_usage
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
