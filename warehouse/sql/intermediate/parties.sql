-- One row per account and counterparty, with an integer code (negative for null), which is faster to sort by than text.
-- `is_own`: it is also a number or login of one of the account's users.
WITH own_parties AS (
    SELECT DISTINCT
        account,
        CASE direction WHEN 'in' THEN to_party WHEN 'out' THEN from_party END AS party
    FROM usage
),

parties AS (
    SELECT
        account,
        counterparty,
        min(counterparty_kind) AS kind
    FROM usage
    GROUP BY account, counterparty
)

SELECT
    parties.account,
    counterparty,
    kind,
    own_parties.party IS NOT NULL AS is_own,
    (
        CASE WHEN counterparty IS NULL THEN -1 ELSE 1 END
        * row_number() OVER (ORDER BY parties.account, counterparty)
    )::INTEGER AS party
FROM parties
LEFT JOIN own_parties
    ON own_parties.account = parties.account
    AND own_parties.party = parties.counterparty
