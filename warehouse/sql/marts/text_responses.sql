-- Grain: account, user_id, counterparty, block; a block is a run of inbound texts without an outbound one between.
WITH texts AS (
    SELECT
        account,
        user_id,
        counterparty,
        direction,
        started_at,
        record_id,
        coalesce(lag(direction) OVER chat, 'out') AS direction_before
    FROM usage
    WHERE channel = 'text' AND direction IN ('in', 'out') AND started_at IS NOT NULL AND counterparty IS NOT NULL
    WINDOW chat AS (PARTITION BY account, user_id, counterparty ORDER BY started_at, record_id)
),

numbered AS (
    SELECT
        *,
        direction = 'in' AND direction_before = 'out' AS is_first,
        direction = 'out' AND direction_before = 'in' AS is_reply,
        sum((direction = 'in' AND direction_before = 'out')::INTEGER) OVER chat AS block
    FROM texts
    WINDOW chat AS (PARTITION BY account, user_id, counterparty ORDER BY started_at, record_id)
),

blocks AS (
    SELECT
        account,
        user_id,
        counterparty,
        block,
        min(started_at) FILTER (WHERE is_first) AS block_start,
        max(started_at) FILTER (WHERE direction = 'in') AS last_text_at,
        count(*) FILTER (WHERE direction = 'in') AS texts,
        min(started_at) FILTER (WHERE is_reply) AS replied_at,
        max(record_id) FILTER (WHERE is_first) AS first_record_id,
        max(record_id) FILTER (WHERE is_reply) AS reply_record_id
    FROM numbered
    WHERE block > 0
    GROUP BY ALL
),

measured AS (
    SELECT
        blocks.*,
        coalesce(
            at_start.seconds_before
            + (epoch_us(least(block_start, at_start.closes_at)) - epoch_us(at_start.opens_at)) / 1e6,
            0
        ) AS business_at_start
    FROM blocks
    ASOF LEFT JOIN office_hours AS at_start ON block_start >= at_start.opens_at
)

SELECT
    account,
    user_id,
    counterparty,
    block,
    block_start,
    last_text_at,
    texts,
    replied_at,
    (epoch_us(replied_at) - epoch_us(block_start)) / 1e6 AS wait_seconds,
    CASE
        WHEN replied_at IS NOT NULL THEN
            coalesce(
                at_reply.seconds_before
                + (epoch_us(least(replied_at, at_reply.closes_at)) - epoch_us(at_reply.opens_at)) / 1e6,
                0
            ) - business_at_start
    END AS business_wait_seconds,
    replied_at IS NULL AS is_open,
    first_record_id,
    reply_record_id
FROM measured
ASOF LEFT JOIN office_hours AS at_reply ON replied_at >= at_reply.opens_at
