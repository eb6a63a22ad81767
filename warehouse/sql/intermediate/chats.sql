-- One row per user and counterparty, with numbers for both and for the two together: cheaper to sort by than texts.
SELECT
    account,
    user_id,
    counterparty,
    dense_rank() OVER (ORDER BY account, user_id) AS member,
    dense_rank() OVER (ORDER BY account, counterparty) AS party,
    row_number() OVER (ORDER BY account, user_id, counterparty) AS chat
FROM (SELECT DISTINCT account, user_id, counterparty FROM usage)
