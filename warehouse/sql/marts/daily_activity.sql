-- Grain: account, local_date, user_id, channel, direction.
WITH activity AS (
    SELECT
        local_date,
        member,
        way,
        count(*) AS records,
        sum(minutes) AS minutes,
        exact_sum(credits) AS credits,
        count(DISTINCT party) FILTER (WHERE party > 0) AS counterparties
    FROM local_usage
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
