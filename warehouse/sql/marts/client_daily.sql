-- Grain: account, client_reference_id, local_date, channel.
-- One row per client reference, day and channel with records.
SELECT
    account,
    client_reference_id,
    local_date,
    channel,
    count(*) AS records,
    sum(duration_minutes) FILTER (WHERE channel = 'call') AS minutes,
    exact_sum(credits) AS credits
FROM activity
GROUP BY ALL
