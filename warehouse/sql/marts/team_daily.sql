-- Grain: account, team, local_date, channel, direction.
-- One row per team, day, channel and direction with records; the team is null for users without one.
SELECT
    account,
    team,
    local_date,
    channel,
    direction,
    count(*) AS records,
    sum(duration_minutes) FILTER (WHERE channel = 'call') AS minutes,
    exact_sum(credits) AS credits,
    count(DISTINCT user_id) AS users,
    count(DISTINCT counterparty) AS counterparties
FROM activity
GROUP BY ALL
