-- Grain: account, client_reference_id, local date, channel.
WITH counted AS (
    SELECT
        label,
        local_date,
        count(*) AS records,
        sum(minutes) AS minutes,
        sum(credits) AS credits
    FROM local_usage
    GROUP BY label, local_date
)

SELECT
    account,
    client_reference_id,
    local_date,
    channel,
    sum(records) AS records,
    sum(minutes) AS minutes,
    exact_sum(credits) AS credits
FROM counted
INNER JOIN labels USING (label)
GROUP BY ALL
