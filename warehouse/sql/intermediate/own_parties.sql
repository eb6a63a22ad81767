-- One row per account and number or login of the users: the side of a record that is not the counterparty.
SELECT DISTINCT
    account,
    CASE direction WHEN 'in' THEN to_party ELSE from_party END AS party
FROM activity
WHERE direction IN ('in', 'out')
