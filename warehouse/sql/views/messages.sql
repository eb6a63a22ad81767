-- One row per text or fax, with its content if the archive has it.
SELECT
    activity.account,
    activity.record_id,
    activity.started_at,
    activity.channel,
    activity.type,
    activity.direction,
    activity.user_id,
    activity.from_party,
    activity.to_party,
    activity.counterparty,
    contents.kind,
    contents.body,
    contents.path,
    contents.media_type,
    contents.bytes,
    coalesce(contents.status, 'not fetched') AS status,
    activity.client_reference_id,
    activity.credits,
    activity.absent_since,
    activity.window_start,
    activity.user_name,
    activity.counterparty_name,
    activity.team
FROM activity
LEFT JOIN contents
    ON activity.account = contents.account AND activity.record_id = contents.record_id
WHERE activity.channel IN ('text', 'fax')
