-- One row per usage record: its figures, local time, and integer codes of its labels, user and counterparty. Instants are
-- microseconds, which sort twice as fast as timestamps.
SELECT
    label,
    way,
    member,
    parties.party,
    -- The user's own number or login, if the counterparty belongs to the account too.
    own_parties.party AS own_party,
    -- One code for user and counterparty, as a single sort key.
    member * 4294967296 + parties.party AS chat,
    record_id,
    epoch_us(started_at) AS starts,
    epoch_us(greatest(started_at, ended_at)) AS ends,
    CASE WHEN usage.channel = 'call' THEN duration_minutes END AS minutes,
    credits,
    CASE
        WHEN ahead IS NULL THEN started_at AT TIME ZONE time_zone
        ELSE make_timestamp(epoch_us(started_at) + ahead)
    END AS local_at,
    local_at::DATE AS local_date
FROM usage
INNER JOIN labels
    ON labels.account = usage.account
    AND labels.client_reference_id IS NOT DISTINCT FROM usage.client_reference_id
    AND labels.channel IS NOT DISTINCT FROM usage.channel
    AND labels.type IS NOT DISTINCT FROM usage.type
    AND labels.direction IS NOT DISTINCT FROM usage.direction
INNER JOIN members
    ON members.account = usage.account
    AND members.user_id IS NOT DISTINCT FROM usage.user_id
INNER JOIN parties
    ON parties.account = usage.account
    AND parties.counterparty IS NOT DISTINCT FROM usage.counterparty
LEFT JOIN (SELECT * FROM parties WHERE is_own) AS own_parties
    ON own_parties.account = usage.account
    AND own_parties.counterparty = CASE
        WHEN parties.is_own AND usage.direction = 'in' THEN to_party
        WHEN parties.is_own AND usage.direction = 'out' THEN from_party
    END
LEFT JOIN utc_offsets
    ON utc_offsets.account = usage.account
    AND utc_offsets.utc_day = make_timestamp(epoch_us(started_at))::DATE
INNER JOIN publication.settings ON settings.account = usage.account
