-- Records per day and channel.
SELECT
    account,
    local_date,
    channel,
    records,
    minutes,
    credits
FROM marts.daily_totals
WHERE local_date IS NOT NULL
ORDER BY account, local_date, channel
