-- Grain: account, client_reference_id, local_date, channel.
SELECT
    account,
    client_reference_id,
    local_date,
    channel,
    count(*) AS records,
    sum(minutes) AS minutes,
    sum(credits) AS credits
FROM local_usage
GROUP BY ALL
