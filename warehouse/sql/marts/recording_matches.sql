-- Grain: account, recording_id.
-- Instants are microseconds here, and days of them: ten times as fast as with a calendar.
WITH calls AS (
    SELECT
        row_number() OVER () AS call_number,
        record_id AS call_id,
        chat,
        direction = 'out' AS is_out,
        epoch_us(started_at) AS starts,
        epoch_us(started_at) - 120000000 AS earliest,
        epoch_us(started_at) + 900000000 + greatest(
            -- A year is longer than any call; without it, one absurd number would stop the publishing.
            (least(coalesce(minutes, 0), 525600) * 60000000)::BIGINT,
            coalesce(epoch_us(ended_at) - epoch_us(started_at), 0)
        ) AS latest
    FROM local_usage
    WHERE channel = 'call' AND started_at IS NOT NULL AND direction IN ('in', 'out')
),

-- The days that a call's time touches, so that a number with years of calls is looked at day by day.
called_days AS (
    SELECT
        *,
        earliest // 86400000000 AS day
    FROM calls
    UNION ALL
    SELECT
        *,
        unnest(range(earliest // 86400000000 + 1, latest // 86400000000 + 1)) AS day
    FROM calls
    WHERE latest // 86400000000 > earliest // 86400000000
),

recorded AS (
    SELECT
        row_number() OVER () AS recording_number,
        recordings.account,
        record_id AS recording_id,
        chat,
        direction = 'out' AS is_out,
        epoch_us(recorded_at) AS starts,
        epoch_us(recorded_at) // 86400000000 AS day
    FROM recordings
    INNER JOIN chats
        ON chats.account = recordings.account
        AND chats.user_id = recordings.user_id
        AND chats.counterparty = recordings.phone_number
    WHERE direction IN ('in', 'out')
),

candidates AS (
    SELECT
        recording_number,
        account,
        recording_id,
        call_number,
        call_id,
        recorded.starts - called_days.starts AS delta,
        abs(recorded.starts - called_days.starts) AS distance
    FROM recorded
    INNER JOIN called_days USING (chat, is_out, day)
    WHERE recorded.starts BETWEEN earliest AND latest
),

ranked AS (
    SELECT
        *,
        row_number() OVER by_recording AS call_rank,
        row_number() OVER by_call AS recording_rank,
        lead(distance) OVER by_recording - distance <= 60000000 AS has_rival
    FROM candidates
    WINDOW
        by_recording AS (PARTITION BY recording_number ORDER BY distance, call_id),
        by_call AS (PARTITION BY call_number ORDER BY distance, recording_id)
),

taken AS (
    SELECT call_number
    FROM ranked
    WHERE call_rank = 1 AND recording_rank = 1
),

nearest AS (
    SELECT
        account,
        recording_id,
        call_id,
        delta / 1e6 AS delta_seconds,
        CASE
            WHEN recording_rank > 1 THEN 'extra_segment'
            WHEN has_rival THEN 'ambiguous'
            ELSE 'mutual_nearest'
        END AS status
    FROM ranked
    SEMI JOIN taken USING (call_number)
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
    coalesce(status, 'unmatched') AS status
FROM recordings
LEFT JOIN nearest
    ON nearest.account = recordings.account
    AND nearest.recording_id = recordings.record_id
