-- One row per text and fax of the selection, oldest first, with its body or file.
SELECT
    messages.*,
    contents.sha256
FROM messages
LEFT JOIN contents
    ON messages.account = contents.account AND messages.record_id = contents.record_id
WHERE
    coalesce(started_at, messages.window_start::TIMESTAMP AT TIME ZONE 'UTC') >= $since
    AND coalesce(started_at, messages.window_start::TIMESTAMP AT TIME ZONE 'UTC') < $until
    AND ($user IS NULL OR user_id = $user)
    AND ($counterparty IS NULL OR counterparty = $counterparty)
ORDER BY started_at, messages.record_id
