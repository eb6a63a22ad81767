-- Grain: account, user_id, counterparty, thread. What began in one second is taken inbound first.
-- Instants are microseconds here: ten million of them sort twice as fast, and subtract without a calendar.
WITH records AS (
    SELECT
        chat,
        (channel = 'call')::TINYINT AS is_call,
        (channel = 'text')::TINYINT AS is_text,
        (channel = 'fax')::TINYINT AS is_fax,
        direction = 'out' AS is_out,
        epoch_us(started_at) AS starts,
        epoch_us(greatest(started_at, ended_at)) AS ends
    FROM local_usage
    WHERE started_at IS NOT NULL AND party IS NOT NULL
),

steps AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY chat ORDER BY starts, is_out) AS position,
        starts - max(ends) OVER (
            PARTITION BY chat
            ORDER BY starts, is_out
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) <= 86400000000 AS goes_on
    FROM records
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
        min(starts) AS starts,
        max(ends) AS ends,
        count(*) AS records,
        sum(is_call) AS calls,
        sum(is_text) AS texts,
        sum(is_fax) AS faxes,
        arg_min_null(is_out, position) AS opened_out,
        arg_max_null(is_out, position) AS closed_out
    FROM numbered
    GROUP BY chat, thread
)

SELECT
    account,
    user_id,
    counterparty,
    thread,
    make_timestamptz(starts) AS started_at,
    make_timestamptz(ends) AS ended_at,
    records,
    calls,
    texts,
    faxes,
    CASE WHEN opened_out THEN 'out' WHEN NOT opened_out THEN 'in' END AS opened_by,
    CASE WHEN closed_out THEN 'out' WHEN NOT closed_out THEN 'in' END AS closed_by
FROM threads
INNER JOIN chats USING (chat)
