-- One row per dated text with a counterparty, in the order of chat, time and record id; read as `timeline` is.
SELECT
    chat,
    starts,
    record_id,
    direction = 'out' AS is_out
FROM local_usage
INNER JOIN labels USING (label)
WHERE channel = 'text' AND direction IN ('in', 'out') AND starts IS NOT NULL AND party > 0
ORDER BY chat, starts, record_id
