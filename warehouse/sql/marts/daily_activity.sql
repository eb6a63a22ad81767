-- Grain: account, local_date, user_id, channel, direction.
WITH by_counterparty AS (
    SELECT
        account,
        local_date,
        member,
        channel,
        direction,
        party,
        count(*) AS records,
        sum(minutes) AS minutes,
        sum(credits) AS credits
    FROM local_usage
    GROUP BY account, local_date, member, channel, direction, party
),

activity AS (
    SELECT
        account,
        local_date,
        member,
        channel,
        direction,
        sum(records) AS records,
        sum(minutes) AS minutes,
        sum(credits) AS credits,
        count(party) AS counterparties
    FROM by_counterparty
    GROUP BY account, local_date, member, channel, direction
),

members AS (
    SELECT DISTINCT
        member,
        user_id
    FROM chats
    WHERE member IS NOT NULL
)

SELECT
    activity.* EXCLUDE (member),
    user_id
FROM activity
LEFT JOIN members USING (member)
