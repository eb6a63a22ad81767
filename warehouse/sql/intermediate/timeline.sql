-- One row per dated usage record with a counterparty, in the order of chat, time and record: inbound first in one instant.
-- Marts go through it as it lies (DuckDB keeps a table in the order it was filled in), which costs a tenth of sorting once
-- more for each window.
SELECT
    chat,
    starts,
    ends,
    label
FROM local_usage
INNER JOIN labels USING (label)
WHERE starts IS NOT NULL AND party > 0
ORDER BY chat, starts, direction
