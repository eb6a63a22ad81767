-- One row per recording of the selection, oldest first, with its file.
SELECT
    recordings.*,
    recording_files.status,
    recording_files.sha256,
    recording_files.bytes,
    recording_files.media_type,
    recording_files.path
FROM recordings
LEFT JOIN recording_files
    ON recordings.account = recording_files.account AND recordings.record_id = recording_files.record_id
WHERE
    coalesce(recorded_at, recordings.window_start::TIMESTAMP AT TIME ZONE 'UTC') >= $since
    AND coalesce(recorded_at, recordings.window_start::TIMESTAMP AT TIME ZONE 'UTC') < $until
    AND ($user IS NULL OR user_id = $user)
    AND ($counterparty IS NULL OR phone_number = $counterparty)
ORDER BY recorded_at, recordings.record_id
