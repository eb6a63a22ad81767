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
    count(DISTINCT counterparty) AS counterparties,
    -- One name and team per user and day.
    any_value(user_name) AS user_name,
    any_value(team) AS team
FROM activity
GROUP BY ALL
