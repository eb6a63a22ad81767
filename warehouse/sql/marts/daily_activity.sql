-- Grain: account, local_date, user_id, channel, direction.
WITH by_counterparty AS (
    SELECT
        account,
        local_date,
        member,
        channel,
        direction,
        party,
        any_value(user_id) AS user_id,
        any_value(counterparty) AS counterparty,
        count(*) AS records,
        sum(minutes) AS minutes,
        sum(credits) AS credits
    FROM local_usage
    GROUP BY account, local_date, member, channel, direction, party
)

SELECT
    account,
    local_date,
    any_value(user_id) AS user_id,
    channel,
    direction,
    sum(records) AS records,
    sum(minutes) AS minutes,
    sum(credits) AS credits,
    count(counterparty) AS counterparties
FROM by_counterparty
GROUP BY account, local_date, member, channel, direction
