-- Grain: account, user_id, counterparty, thread. What began in one second is taken inbound first.
WITH records AS (
    SELECT
        *,
        row_number() OVER () AS position,
        -- The chat stands before the latest end in it, so that each chat, as it begins, is above all that were before.
        max(chat * 9223372036854775808::HUGEINT + ends) OVER (ROWS UNBOUNDED PRECEDING) AS reached
    FROM timeline
),

steps AS (
    SELECT
        *,
        lag(chat) OVER () IS DISTINCT FROM chat AS is_first,
        lag(reached) OVER () >= chat * 9223372036854775808::HUGEINT + starts - 86400000000 AS goes_on
    FROM records
),

numbered AS (
    SELECT
        *,
        count(CASE WHEN is_first OR NOT goes_on THEN 1 END) OVER (ROWS UNBOUNDED PRECEDING) AS place
    FROM steps
),

threads AS (
    SELECT
        chat,
        place,
        min(starts) AS starts,
        max(ends) AS ends,
        count(*) AS records,
        count(*) FILTER (WHERE channel = 'call') AS calls,
        count(*) FILTER (WHERE channel = 'text') AS texts,
        count(*) FILTER (WHERE channel = 'fax') AS faxes,
        arg_min(label, position) AS opened,
        arg_max(label, position) AS closed
    FROM numbered
    INNER JOIN labels USING (label)
    GROUP BY chat, place
)

SELECT
    chats.account,
    user_id,
    counterparty,
    row_number() OVER (PARTITION BY chat ORDER BY place) AS thread,
    make_timestamptz(starts) AS started_at,
    make_timestamptz(ends) AS ended_at,
    threads.records,
    calls,
    texts,
    faxes,
    opening.direction AS opened_by,
    closing.direction AS closed_by
FROM threads
INNER JOIN chats USING (chat)
INNER JOIN members USING (member)
INNER JOIN parties USING (party)
INNER JOIN labels AS opening ON opening.label = opened
INNER JOIN labels AS closing ON closing.label = closed
