-- One row per conversation between two users of the account that iPlum lists twice: its inbound record, of the same two
-- parties as an outbound one of the other user that starts within 5 seconds. The mart `daily_totals` counts it once.
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
)

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
