-- Grain: account, local_date, user_id, channel, direction.
WITH by_counterparty AS (
    SELECT
        local_date,
        member,
        way,
        party,
        count(*) AS records,
        sum(minutes) AS minutes,
        sum(credits) AS credits
    FROM local_usage
    GROUP BY local_date, member, way, party
),

activity AS (
    SELECT
        local_date,
        member,
        way,
        sum(records) AS records,
        sum(minutes) AS minutes,
        sum(credits) AS credits,
        count(*) FILTER (WHERE party > 0) AS counterparties
    FROM by_counterparty
    GROUP BY local_date, member, way
)

SELECT
    account,
    local_date,
    user_id,
    channel,
    direction,
    records,
    minutes,
    credits,
    counterparties
FROM activity
INNER JOIN members USING (member)
INNER JOIN (SELECT DISTINCT way, channel, direction FROM labels) AS ways USING (way)
