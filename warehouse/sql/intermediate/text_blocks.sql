-- One row per block of inbound texts with a start and a counterparty: its start, end, reply, and number within the
-- conversation.
WITH texts AS (
    SELECT
        chat,
        starts,
        record_id,
        direction = 'out' AS is_out
    FROM local_usage
    INNER JOIN labels USING (label)
    WHERE channel = 'text' AND direction IN ('in', 'out') AND starts IS NOT NULL AND party > 0
),

placed AS (
    SELECT
        *,
        row_number() OVER in_order AS position,
        lag(is_out) OVER in_order IS DISTINCT FROM is_out AS is_first,
        lead(is_out) OVER in_order IS DISTINCT FROM is_out AS is_last
    FROM texts
    WINDOW in_order AS (PARTITION BY chat ORDER BY starts, record_id)
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
        CASE WHEN is_last THEN starts ELSE lead(starts) OVER in_order END AS last_starts,
        CASE WHEN is_last THEN position ELSE lead(position) OVER in_order END AS last_position
    FROM placed
    WHERE is_first OR is_last
    WINDOW in_order AS (PARTITION BY chat ORDER BY position)
),

blocks AS (
    SELECT
        *,
        lead(starts) OVER in_order AS replied,
        lead(record_id) OVER in_order AS reply_record_id,
        count(*) FILTER (WHERE NOT is_out) OVER (
            PARTITION BY chat ORDER BY position ROWS UNBOUNDED PRECEDING
        ) AS block
    FROM runs
    WHERE is_first
    WINDOW in_order AS (PARTITION BY chat ORDER BY position)
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
