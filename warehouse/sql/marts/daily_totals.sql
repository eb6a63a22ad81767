-- Grain: account, local_date, channel; every day from the account's first to its last, and null for undated records.
WITH own_parties AS (
    SELECT DISTINCT
        account,
        CASE direction WHEN 'in' THEN to_party WHEN 'out' THEN from_party END AS party
    FROM usage
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
        record_id
    FROM usage
    SEMI JOIN own_parties
        ON own_parties.account = usage.account
        AND own_parties.party = usage.counterparty
    WHERE direction IN ('in', 'out') AND started_at IS NOT NULL
),

-- A burst ends where neither side has anything for more than 5 seconds; its nth out goes with its nth in.
gaps AS (
    SELECT
        *,
        started_at - lag(started_at) OVER chat > INTERVAL 5 SECONDS AS begins
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

mirrors AS (
    SELECT
        ins.account,
        ins.record_id
    FROM numbered AS ins
    INNER JOIN numbered AS outs
        USING (account, channel, from_party, to_party, burst, place)
    WHERE
        ins.direction = 'in'
        AND outs.direction = 'out'
        AND ins.user_id IS DISTINCT FROM outs.user_id
        AND abs(epoch_us(ins.started_at) - epoch_us(outs.started_at)) <= 5000000
),

totals AS (
    SELECT
        local_usage.account,
        local_date,
        channel,
        count(*) FILTER (WHERE mirrors.record_id IS NULL) AS records,
        sum(minutes) FILTER (WHERE mirrors.record_id IS NULL) AS minutes,
        sum(credits) AS credits,
        count(DISTINCT user_id) AS users,
        count(DISTINCT counterparty) FILTER (WHERE mirrors.record_id IS NULL) AS counterparties,
        count(mirrors.record_id) AS mirrored_pairs
    FROM local_usage
    LEFT JOIN mirrors
        ON mirrors.account = local_usage.account
        AND mirrors.record_id = local_usage.record_id
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
    coalesce(records, 0) AS records,
    CASE WHEN records IS NULL AND calendar.channel = 'call' THEN 0 ELSE minutes END AS minutes,
    CASE WHEN records IS NULL THEN 0 ELSE credits END AS credits,
    coalesce(users, 0) AS users,
    coalesce(counterparties, 0) AS counterparties,
    coalesce(mirrored_pairs, 0) AS mirrored_pairs
FROM calendar
FULL JOIN totals
    ON totals.account = calendar.account
    AND totals.local_date = calendar.local_date
    AND totals.channel IS NOT DISTINCT FROM calendar.channel
