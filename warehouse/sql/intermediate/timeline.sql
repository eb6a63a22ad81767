-- One row per usage record with a start time and a counterparty, stored in the order of conversation, time (inbound first)
-- and record ID. Marts read it in this order, which DuckDB keeps; sorting again for each window takes ten times as long.
SELECT
    chat,
    starts,
    ends,
    label
FROM local_usage
INNER JOIN labels USING (label)
WHERE starts IS NOT NULL AND party > 0
ORDER BY chat, starts, direction
