-- One row per account and counterparty, with a number that is negative for nobody: cheaper to sort by than texts.
SELECT
    account,
    counterparty,
    kind,
    CASE WHEN counterparty IS NULL THEN -1 ELSE 1 END * row_number() OVER () AS party
FROM (
    SELECT
        account,
        counterparty,
        min(counterparty_kind) AS kind
    FROM usage
    GROUP BY account, counterparty
)
