-- Records per hour of the week, over all accounts.
SELECT
    weekday,
    local_hour,
    channel,
    sum(records) AS records
FROM marts.hourly_heatmap
WHERE weekday IS NOT NULL
GROUP BY weekday, local_hour, channel
ORDER BY weekday, local_hour, channel
