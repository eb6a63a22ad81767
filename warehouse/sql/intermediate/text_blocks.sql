-- One row per block of inbound texts: its start, end, reply, and number within the conversation. Reads `texts` in its stored
-- order, on one core; it is separate from its mart so that both cores are used.
WITH placed AS (
    SELECT
        *,
        row_number() OVER () AS position,
        (lag(chat) OVER (), lag(is_out) OVER ()) IS DISTINCT FROM (chat, is_out) AS is_first,
        (lead(chat) OVER (), lead(is_out) OVER ()) IS DISTINCT FROM (chat, is_out) AS is_last
    FROM texts
),

-- The first and the last text of each run of texts in one direction.
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
    chat,
    block,
    starts,
    last_starts,
    last_position - position + 1 AS texts,
    replied,
    record_id,
    reply_record_id
FROM blocks
WHERE NOT is_out
