-- One row per usage record, with the account's local time and the numbers of its user, counterparty and chat.
SELECT
    usage.account,
    usage.user_id,
    member,
    party,
    chat,
    record_id,
    client_reference_id,
    channel,
    type,
    direction,
    from_party,
    to_party,
    started_at,
    ended_at,
    credits,
    CASE WHEN channel = 'call' THEN duration_minutes END AS minutes,
    CASE
        WHEN ahead IS NULL THEN started_at AT TIME ZONE time_zone
        ELSE make_timestamp(epoch_us(started_at) + ahead)
    END AS local_at,
    local_at::DATE AS local_date
FROM usage
INNER JOIN chats
    ON chats.account = usage.account
    AND chats.user_id IS NOT DISTINCT FROM usage.user_id
    AND chats.counterparty IS NOT DISTINCT FROM usage.counterparty
LEFT JOIN clocks
    ON clocks.account = usage.account
    AND clocks.utc_day = make_timestamp(epoch_us(started_at))::DATE
INNER JOIN publication.settings ON settings.account = usage.account
