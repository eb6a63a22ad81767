-- Grain: account, user_id, counterparty, thread. At the same instant, inbound records come first.
WITH conversations AS (
    SELECT
        chat,
        thread,
        starts,
        ends,
        1 AS records,
        (channel IS NOT DISTINCT FROM 'call')::BIGINT AS calls,
        (channel IS NOT DISTINCT FROM 'text')::BIGINT AS texts,
        (channel IS NOT DISTINCT FROM 'fax')::BIGINT AS faxes,
        label AS opened,
        label AS closed
    FROM threads
    INNER JOIN labels USING (label)
    WHERE is_alone
    UNION ALL
    SELECT
        any_value(chat) AS chat,
        any_value(thread) AS thread,
        min(starts) AS starts,
        max(ends) AS ends,
        count(*) AS records,
        count(*) FILTER (WHERE channel = 'call') AS calls,
        count(*) FILTER (WHERE channel = 'text') AS texts,
        count(*) FILTER (WHERE channel = 'fax') AS faxes,
        arg_min(label, position) AS opened,
        arg_max(label, position) AS closed
    FROM threads
    INNER JOIN labels USING (label)
    WHERE NOT is_alone
    GROUP BY place
)

SELECT
    chats.account,
    user_id,
    counterparty,
    thread,
    make_timestamptz(starts) AS started_at,
    make_timestamptz(ends) AS ended_at,
    conversations.records,
    calls,
    texts,
    faxes,
    opening.direction AS opened_by,
    closing.direction AS closed_by
FROM conversations
INNER JOIN chats USING (chat)
INNER JOIN labels AS opening ON opening.label = opened
INNER JOIN labels AS closing ON closing.label = closed
