-- One row per text or fax, with its content if the archive has it.
SELECT
    usage.account,
    usage.record_id,
    usage.started_at,
    usage.channel,
    usage.type,
    usage.direction,
    usage.user_id,
    usage.from_party,
    usage.to_party,
    usage.counterparty,
    contents.kind,
    contents.body,
    contents.path,
    contents.media_type,
    contents.bytes,
    coalesce(contents.status, 'not fetched') AS status,
    usage.client_reference_id,
    usage.credits,
    usage.absent_since,
    usage.window_start
FROM usage
LEFT JOIN contents
    ON usage.account = contents.account AND usage.record_id = contents.record_id
WHERE usage.channel IN ('text', 'fax')
