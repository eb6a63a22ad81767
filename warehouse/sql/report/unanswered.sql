-- The 25 latest conversations with unanswered texts, latest first.
SELECT
    account,
    user_id,
    counterparty,
    texts,
    block_start AT TIME ZONE time_zone AS since,
    waiting_business_seconds / 3600 AS business_hours,
    (SELECT count(*) FROM marts.unanswered_texts) AS waiting_in_all
FROM marts.unanswered_texts
INNER JOIN publication.settings USING (account)
ORDER BY block_start DESC
LIMIT 25
