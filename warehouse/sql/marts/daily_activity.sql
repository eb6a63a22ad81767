-- Grain: account, local_date, user_id, channel, direction.
SELECT
    account,
    local_date,
    user_id,
    channel,
    direction,
    count(*) AS records,
    sum(minutes) AS minutes,
    sum(credits) AS credits,
    count(DISTINCT counterparty) AS counterparties
FROM local_usage
GROUP BY ALL
