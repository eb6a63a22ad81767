-- Grain: account, user_id, counterparty, block; a block is a run of inbound texts without an outbound text in between.
SELECT
    chats.account,
    user_id,
    counterparty,
    block,
    make_timestamptz(starts) AS block_start,
    make_timestamptz(text_blocks.last_starts) AS last_text_at,
    texts,
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
FROM text_blocks
INNER JOIN chats USING (chat)
LEFT JOIN business_hours AS at_start
    ON at_start.account = chats.account
    AND at_start.utc_day = starts // 86400000000
    AND starts >= at_start.opens
    AND starts < at_start.until
LEFT JOIN business_hours AS at_reply
    ON at_reply.account = chats.account
    AND at_reply.utc_day = replied // 86400000000
    AND replied >= at_reply.opens
    AND replied < at_reply.until
