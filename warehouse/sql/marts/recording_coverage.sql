-- Grain: account, user_id, local_date.
-- One row per user and day with calls or recordings. The date is null for those without a time.
WITH recorded AS (
    SELECT DISTINCT
        account,
        call_id
    FROM marts.recording_matches
    WHERE call_id IS NOT NULL
),

call_counts AS (
    SELECT
        activity.account,
        user_id,
        local_date,
        count(*) AS calls,
        count(call_id) AS recorded_calls
    FROM activity
    LEFT JOIN recorded
        ON recorded.account = activity.account
        AND recorded.call_id = activity.record_id
    WHERE channel = 'call'
    GROUP BY ALL
),

recording_counts AS (
    SELECT
        account,
        user_id,
        (recorded_at AT TIME ZONE time_zone)::DATE AS local_date,
        count(*) AS recordings,
        count(*) FILTER (WHERE status = 'unmatched') AS unmatched_recordings
    FROM marts.recording_matches
    INNER JOIN publication.settings USING (account)
    GROUP BY ALL
)

SELECT
    coalesce(call_counts.account, recording_counts.account) AS account,
    coalesce(call_counts.user_id, recording_counts.user_id) AS user_id,
    coalesce(call_counts.local_date, recording_counts.local_date) AS local_date,
    coalesce(calls, 0) AS calls,
    coalesce(recorded_calls, 0) AS recorded_calls,
    coalesce(recordings, 0) AS recordings,
    coalesce(unmatched_recordings, 0) AS unmatched_recordings,
    party_names.name AS user_name,
    party_names.team
FROM call_counts
FULL JOIN recording_counts
    ON recording_counts.account = call_counts.account
    AND recording_counts.user_id IS NOT DISTINCT FROM call_counts.user_id
    AND recording_counts.local_date IS NOT DISTINCT FROM call_counts.local_date
LEFT JOIN party_names
    ON party_names.party = coalesce(call_counts.user_id, recording_counts.user_id)
    AND coalesce(call_counts.local_date, recording_counts.local_date)
    BETWEEN party_names.valid_from AND party_names.valid_until
