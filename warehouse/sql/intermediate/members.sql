-- One row per account and user, with an integer code (negative for null), which is faster to group by than text.
SELECT
    account,
    user_id,
    (CASE WHEN user_id IS NULL THEN -1 ELSE 1 END * row_number() OVER (ORDER BY account, user_id))::INTEGER AS member
FROM (
    SELECT DISTINCT
        account,
        user_id
    FROM usage
)
