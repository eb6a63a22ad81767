-- Grain: account, user_id, counterparty, thread. What began in one second is taken inbound first.
WITH steps AS (
    SELECT
        chat,
        channel,
        direction,
        started_at,
        greatest(started_at, ended_at) AS reached_at,
        row_number() OVER (PARTITION BY chat ORDER BY started_at, direction) AS position,
        started_at - max(greatest(started_at, ended_at)) OVER (
            PARTITION BY chat
            ORDER BY started_at, direction
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) <= INTERVAL 24 HOURS AS goes_on
    FROM local_usage
    WHERE started_at IS NOT NULL AND party IS NOT NULL
),

numbered AS (
    SELECT
        *,
        sum((goes_on IS NOT TRUE)::INTEGER) OVER (PARTITION BY chat ORDER BY position) AS thread
    FROM steps
),

threads AS (
    SELECT
        chat,
        thread,
        min(started_at) AS started_at,
        max(reached_at) AS ended_at,
        count(*) AS records,
        count(*) FILTER (WHERE channel = 'call') AS calls,
        count(*) FILTER (WHERE channel = 'text') AS texts,
        count(*) FILTER (WHERE channel = 'fax') AS faxes,
        arg_min_null(direction, position) AS opened_by,
        arg_max_null(direction, position) AS closed_by
    FROM numbered
    GROUP BY chat, thread
)

SELECT
    account,
    user_id,
    counterparty,
    threads.* EXCLUDE (chat)
FROM threads
INNER JOIN chats USING (chat)
