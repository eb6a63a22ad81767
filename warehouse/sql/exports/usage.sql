-- One row per record of the selection, oldest first.
SELECT *
FROM usage
WHERE
    coalesce(started_at, window_start::TIMESTAMP AT TIME ZONE 'UTC') >= $since
    AND coalesce(started_at, window_start::TIMESTAMP AT TIME ZONE 'UTC') < $until
    AND ($user IS NULL OR user_id = $user)
    AND ($counterparty IS NULL OR counterparty = $counterparty)
ORDER BY started_at, record_id
