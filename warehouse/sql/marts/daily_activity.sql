-- Grain: account, local_date, user_id, channel, direction.
-- One row per user, day, channel and direction with records.
SELECT
    account,
    local_date,
    user_id,
    channel,
    direction,
    count(*) AS records,
    sum(duration_minutes) FILTER (WHERE channel = 'call') AS minutes,
    exact_sum(credits) AS credits,
    count(DISTINCT counterparty) AS counterparties
FROM activity
GROUP BY ALL
