-- Grain: account, user_id, local_date.
WITH calls AS (
    SELECT
        labels.account,
        user_id,
        local_date,
        count(*) AS calls,
        count(recorded.call_id) AS recorded_calls
    FROM local_usage
    INNER JOIN labels USING (label)
    INNER JOIN members USING (member)
    LEFT JOIN (SELECT DISTINCT account, call_id FROM marts.recording_matches) AS recorded
        ON recorded.account = labels.account
        AND recorded.call_id = local_usage.record_id
    WHERE channel = 'call'
    GROUP BY labels.account, user_id, local_date
),

recorded AS (
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
    coalesce(calls.account, recorded.account) AS account,
    coalesce(calls.user_id, recorded.user_id) AS user_id,
    coalesce(calls.local_date, recorded.local_date) AS local_date,
    coalesce(calls, 0) AS calls,
    coalesce(recorded_calls, 0) AS recorded_calls,
    coalesce(recordings, 0) AS recordings,
    coalesce(unmatched_recordings, 0) AS unmatched_recordings
FROM calls
FULL JOIN recorded
    ON recorded.account = calls.account
    AND recorded.user_id IS NOT DISTINCT FROM calls.user_id
    AND recorded.local_date IS NOT DISTINCT FROM calls.local_date
