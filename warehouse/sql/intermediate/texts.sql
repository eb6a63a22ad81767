-- One row per text with a start time and a counterparty, stored in the order of conversation, time and record ID.
SELECT
    chat,
    starts,
    record_id,
    direction = 'out' AS is_out
FROM local_usage
INNER JOIN labels USING (label)
WHERE channel = 'text' AND direction IN ('in', 'out') AND starts IS NOT NULL AND party > 0
ORDER BY chat, starts, record_id
