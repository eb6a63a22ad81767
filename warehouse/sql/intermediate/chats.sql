-- One row per user and counterparty, with numbers for both and for the two together: cheaper to sort by than texts.
-- Where there is no user or no counterparty, there is no number.
SELECT
    account,
    user_id,
    counterparty,
    kind,
    CASE WHEN user_id IS NOT NULL THEN dense_rank() OVER (ORDER BY account, user_id) END AS member,
    CASE WHEN counterparty IS NOT NULL THEN dense_rank() OVER (ORDER BY account, counterparty) END AS party,
    row_number() OVER (ORDER BY account, user_id, counterparty) AS chat
FROM (
    SELECT
        account,
        user_id,
        counterparty,
        min(counterparty_kind) AS kind
    FROM usage
    GROUP BY account, user_id, counterparty
)
