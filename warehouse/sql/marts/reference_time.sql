-- Grain: account, reference, local_date, user_id.
-- One row per client reference of the people files, day and user with records. Minutes are those that iPlum bills.
SELECT
    activity.account,
    party_names.reference,
    local_date,
    user_id,
    count(*) FILTER (WHERE channel = 'call') AS calls,
    sum(duration_minutes) FILTER (WHERE channel = 'call') AS minutes,
    count(*) FILTER (WHERE channel = 'text') AS texts,
    count(*) FILTER (WHERE channel = 'fax') AS faxes,
    any_value(user_name) AS user_name
FROM activity
INNER JOIN party_names
    ON party_names.party = activity.counterparty
    AND local_date BETWEEN party_names.valid_from AND party_names.valid_until
WHERE party_names.reference IS NOT NULL
GROUP BY activity.account, party_names.reference, local_date, user_id
