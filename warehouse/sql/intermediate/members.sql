-- One row per account and user, with a number that is negative for nobody: cheaper to group by than texts.
SELECT
    account,
    user_id,
    (CASE WHEN user_id IS NULL THEN -1 ELSE 1 END * row_number() OVER ())::INTEGER AS member
FROM (
    SELECT DISTINCT
        account,
        user_id
    FROM usage
)
