-- Credits per day, with unusual days marked.
SELECT
    account,
    local_date,
    channel,
    type,
    credits,
    mean_28d,
    robust_z,
    coalesce(abs(robust_z) > 3.5 AND abs(credits - mean_28d) >= 5, FALSE) AS is_unusual
FROM marts.credits_daily
WHERE local_date IS NOT NULL
ORDER BY account, local_date, channel, type
