-- Grain: account, user_id, counterparty, block; a block is a run of inbound texts without an outbound one between.
WITH texts AS (
    SELECT
        chat,
        direction = 'out' AS is_out,
        started_at,
        record_id,
        row_number() OVER in_order AS position,
        lag(started_at) OVER in_order AS started_before,
        lag(direction = 'out') OVER in_order AS was_out,
        count(*) OVER (PARTITION BY chat) AS texts,
        max(started_at) OVER (PARTITION BY chat) AS latest_at
    FROM local_usage
    WHERE channel = 'text' AND direction IN ('in', 'out') AND started_at IS NOT NULL AND party IS NOT NULL
    WINDOW in_order AS (PARTITION BY chat ORDER BY started_at, record_id)
),

-- Where the direction changes: runs of inbound and of outbound texts take turns.
turns AS (
    SELECT
        chat,
        is_out,
        started_at,
        record_id,
        position,
        texts,
        latest_at,
        row_number() OVER in_order AS turn,
        lead(position) OVER in_order AS next_position,
        lead(started_at) OVER in_order AS replied_at,
        lead(record_id) OVER in_order AS reply_record_id,
        lead(started_before) OVER in_order AS last_text_at
    FROM texts
    WHERE is_out IS DISTINCT FROM was_out
    WINDOW in_order AS (PARTITION BY chat ORDER BY position)
),

blocks AS (
    SELECT
        chat,
        (turn + 1) // 2 AS block,
        started_at AS block_start,
        coalesce(last_text_at, latest_at) AS last_text_at,
        coalesce(next_position, texts + 1) - position AS texts,
        replied_at,
        record_id AS first_record_id,
        reply_record_id
    FROM turns
    WHERE NOT is_out
),

measured AS (
    SELECT
        blocks.*,
        chats.account,
        user_id,
        counterparty,
        coalesce(
            at_start.seconds_before
            + (epoch_us(least(block_start, at_start.closes_at)) - epoch_us(at_start.opens_at)) / 1e6,
            0
        ) AS business_at_start
    FROM blocks
    INNER JOIN chats USING (chat)
    ASOF LEFT JOIN office_hours AS at_start
        ON at_start.account = chats.account
        AND block_start >= at_start.opens_at
)

SELECT
    measured.* EXCLUDE (chat, business_at_start),
    (epoch_us(replied_at) - epoch_us(block_start)) / 1e6 AS wait_seconds,
    CASE
        WHEN replied_at IS NOT NULL THEN
            coalesce(
                at_reply.seconds_before
                + (epoch_us(least(replied_at, at_reply.closes_at)) - epoch_us(at_reply.opens_at)) / 1e6,
                0
            ) - business_at_start
    END AS business_wait_seconds,
    replied_at IS NULL AS is_open
FROM measured
ASOF LEFT JOIN office_hours AS at_reply
    ON at_reply.account = measured.account
    AND replied_at >= at_reply.opens_at
