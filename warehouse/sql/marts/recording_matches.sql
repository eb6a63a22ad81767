-- Grain: account, recording_id.
-- One row per recording, with its call: of the same user, direction and number, started at most 2 minutes after the
-- recording, and ended at most 15 minutes before it. They match if each is the other's nearest.
WITH calls AS (
    SELECT
        account,
        record_id AS call_id,
        user_id,
        direction,
        counterparty,
        started_at,
        started_at - INTERVAL 2 MINUTES AS earliest,
        greatest(
            ended_at,
            -- No call is longer than a year; without this limit, one absurd duration would make publishing fail.
            started_at + to_seconds(60 * greatest(least(coalesce(duration_minutes, 0), 525600), 0))
        ) + INTERVAL 15 MINUTES AS latest
    FROM activity
    WHERE channel = 'call' AND direction IN ('in', 'out') AND started_at IS NOT NULL
),

-- The UTC days that a call may be recorded on. Recordings are compared only with the calls of their day.
call_days AS (
    SELECT
        *,
        unnest(generate_series(
            (earliest AT TIME ZONE 'UTC')::DATE, (latest AT TIME ZONE 'UTC')::DATE, INTERVAL 1 DAY
        ))::DATE AS utc_date
    FROM calls
),

candidates AS (
    SELECT
        recordings.account,
        recordings.record_id AS recording_id,
        call_id,
        seconds_between(started_at, recorded_at) AS delta_seconds,
        abs(delta_seconds) AS distance
    FROM recordings
    INNER JOIN call_days
        ON call_days.account = recordings.account
        AND call_days.user_id = recordings.user_id
        AND call_days.direction = recordings.direction
        AND call_days.counterparty = recordings.phone_number
        AND call_days.utc_date = (recorded_at AT TIME ZONE 'UTC')::DATE
    WHERE recorded_at BETWEEN earliest AND latest
),

ranked AS (
    SELECT
        *,
        row_number() OVER by_recording AS call_rank,
        row_number() OVER by_call AS recording_rank,
        lead(distance) OVER by_recording - distance <= 60 AS has_rival
    FROM candidates
    WINDOW
        by_recording AS (PARTITION BY account, recording_id ORDER BY distance, call_id),
        by_call AS (PARTITION BY account, call_id ORDER BY distance, recording_id)
),

mutual AS (
    SELECT
        account,
        call_id
    FROM ranked
    WHERE call_rank = 1 AND recording_rank = 1
),

matches AS (
    SELECT
        account,
        recording_id,
        call_id,
        delta_seconds,
        CASE
            WHEN recording_rank > 1 THEN 'extra_segment'
            WHEN has_rival THEN 'ambiguous'
            ELSE 'mutual_nearest'
        END AS status
    FROM ranked
    SEMI JOIN mutual USING (account, call_id)
    WHERE call_rank = 1
)

SELECT
    recordings.account,
    recordings.record_id AS recording_id,
    call_id,
    user_id,
    direction,
    recorded_at,
    delta_seconds,
    coalesce(matches.status, 'unmatched') AS status
FROM recordings
LEFT JOIN matches
    ON matches.account = recordings.account
    AND matches.recording_id = recordings.record_id
