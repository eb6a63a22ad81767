-- One row per inbound record that is also listed as another user's outbound record: of the same two parties, with starts
-- at most 5 seconds apart. The mart `daily_totals` counts only the outbound one.
WITH RECURSIVE internal AS (
    SELECT
        activity.account,
        channel,
        from_party,
        to_party,
        direction,
        user_id,
        record_id,
        started_at
    FROM activity
    SEMI JOIN own_parties
        ON own_parties.account = activity.account
        AND own_parties.party = activity.counterparty
    WHERE direction IN ('in', 'out') AND started_at IS NOT NULL
),

-- A burst of records of two parties ends when no other record starts within 5 seconds.
gaps AS (
    SELECT
        *,
        lag(started_at) OVER in_order AS previous_start,
        lead(started_at) OVER in_order AS next_start
    FROM internal
    WINDOW in_order AS (PARTITION BY account, channel, from_party, to_party ORDER BY started_at, record_id)
),

numbered AS (
    SELECT
        *,
        count(*) FILTER (WHERE previous_start IS NULL OR started_at > previous_start + INTERVAL 5 SECONDS) OVER (
            PARTITION BY account, channel, from_party, to_party ORDER BY started_at, record_id
        ) AS burst
    FROM gaps
    -- Most records have no other one within 5 seconds, and so no pair.
    WHERE started_at <= previous_start + INTERVAL 5 SECONDS OR next_start <= started_at + INTERVAL 5 SECONDS
),

bursts AS (
    SELECT
        account,
        list(
            {'started_at': started_at, 'user_id': user_id, 'record_id': record_id} ORDER BY started_at, record_id
        ) FILTER (WHERE direction = 'out') AS outbound,
        list(
            {'started_at': started_at, 'user_id': user_id, 'record_id': record_id} ORDER BY started_at, record_id
        ) FILTER (WHERE direction = 'in') AS inbound
    FROM numbered
    GROUP BY account, channel, from_party, to_party, burst
    HAVING count(DISTINCT direction) = 2
),

-- The earliest outbound record pairs with the earliest inbound one. If they are too far apart, or belong to one user,
-- the earlier one of them has no pair, and the next one takes its place.
steps AS (
    SELECT
        account,
        outbound,
        inbound,
        1 AS nth_out,
        1 AS nth_in,
        NULL::VARCHAR AS record_id
    FROM bursts
    UNION ALL
    SELECT
        account,
        outbound,
        inbound,
        CASE WHEN is_pair OR NOT is_inbound_earlier THEN nth_out + 1 ELSE nth_out END AS nth_out,
        CASE WHEN is_pair OR is_inbound_earlier THEN nth_in + 1 ELSE nth_in END AS nth_in,
        CASE WHEN is_pair THEN inbound[nth_in].record_id END AS record_id
    FROM (
        SELECT
            *,
            inbound[nth_in].started_at < outbound[nth_out].started_at AS is_inbound_earlier,
            inbound[nth_in].user_id IS DISTINCT FROM outbound[nth_out].user_id
            AND inbound[nth_in].started_at
            BETWEEN outbound[nth_out].started_at - INTERVAL 5 SECONDS
            AND outbound[nth_out].started_at + INTERVAL 5 SECONDS AS is_pair
        FROM steps
        WHERE nth_out <= len(outbound) AND nth_in <= len(inbound)
    )
)

SELECT
    account,
    record_id
FROM steps
WHERE record_id IS NOT NULL
