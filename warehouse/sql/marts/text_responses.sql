-- Grain: account, user_id, counterparty, block; a block is a run of inbound texts without an outbound one between.
WITH placed AS (
    SELECT
        *,
        row_number() OVER () AS position,
        (lag(chat) OVER (), lag(is_out) OVER ()) IS DISTINCT FROM (chat, is_out) AS is_first,
        (lead(chat) OVER (), lead(is_out) OVER ()) IS DISTINCT FROM (chat, is_out) AS is_last
    FROM texts
),

-- Of each run its first text and its last, which can be one.
runs AS (
    SELECT
        chat,
        is_out,
        record_id,
        starts,
        position,
        is_first,
        CASE WHEN is_last THEN starts ELSE lead(starts) OVER () END AS last_starts,
        CASE WHEN is_last THEN position ELSE lead(position) OVER () END AS last_position
    FROM placed
    WHERE is_first OR is_last
),

turns AS (
    SELECT
        *,
        lag(chat) OVER () IS DISTINCT FROM chat AS is_new,
        count(CASE WHEN NOT is_out THEN 1 END) OVER (ROWS UNBOUNDED PRECEDING) AS place,
        CASE WHEN lead(chat) OVER () = chat THEN lead(starts) OVER () END AS replied,
        CASE WHEN lead(chat) OVER () = chat THEN lead(record_id) OVER () END AS reply_record_id
    FROM runs
    WHERE is_first
),

blocks AS (
    SELECT
        *,
        place - max(CASE WHEN is_new THEN place - (NOT is_out)::BIGINT END) OVER (ROWS UNBOUNDED PRECEDING) AS block
    FROM turns
)

SELECT
    chats.account,
    user_id,
    counterparty,
    block,
    make_timestamptz(starts) AS block_start,
    make_timestamptz(blocks.last_starts) AS last_text_at,
    last_position - position + 1 AS texts,
    make_timestamptz(replied) AS replied_at,
    (replied - starts) / 1e6 AS wait_seconds,
    CASE
        WHEN replied IS NOT NULL THEN
            coalesce(at_reply.seconds_before + (least(replied, at_reply.closes) - at_reply.opens) / 1e6, 0)
            - coalesce(at_start.seconds_before + (least(starts, at_start.closes) - at_start.opens) / 1e6, 0)
    END AS business_wait_seconds,
    replied IS NULL AS is_open,
    record_id AS first_record_id,
    reply_record_id
FROM blocks
INNER JOIN chats USING (chat)
INNER JOIN members USING (member)
INNER JOIN parties USING (party)
LEFT JOIN office_hours AS at_start
    ON at_start.account = chats.account
    AND at_start.utc_day = starts // 86400000000
    AND starts >= at_start.opens
    AND starts < at_start.until
LEFT JOIN office_hours AS at_reply
    ON at_reply.account = chats.account
    AND at_reply.utc_day = replied // 86400000000
    AND replied >= at_reply.opens
    AND replied < at_reply.until
WHERE NOT is_out
