-- Grain: account, recording_id.
WITH calls AS (
    SELECT
        account,
        record_id AS call_id,
        user_id,
        direction,
        counterparty,
        started_at,
        started_at - INTERVAL 2 MINUTES AS earliest,
        started_at + INTERVAL 15 MINUTES + to_microseconds(greatest(
            coalesce(duration_minutes * 60000000, 0),
            coalesce(epoch_us(ended_at) - epoch_us(started_at), 0)
        )::BIGINT) AS latest
    FROM usage
    WHERE channel = 'call' AND started_at IS NOT NULL
),

-- The days that a call's time touches, so that a number with years of calls is looked at day by day.
called_days AS (
    SELECT
        *,
        unnest(generate_series(date_trunc('day', earliest), date_trunc('day', latest), INTERVAL 1 DAY))::DATE AS day
    FROM calls
),

candidates AS (
    SELECT
        recordings.account,
        recordings.record_id AS recording_id,
        called_days.call_id,
        (epoch_us(recorded_at) - epoch_us(started_at)) / 1e6 AS delta_seconds
    FROM recordings
    INNER JOIN called_days
        ON called_days.account = recordings.account
        AND called_days.user_id = recordings.user_id
        AND called_days.direction = recordings.direction
        AND called_days.counterparty = recordings.phone_number
        AND called_days.day = recordings.recorded_at::DATE
        AND recordings.recorded_at BETWEEN called_days.earliest AND called_days.latest
),

ranked AS (
    SELECT
        *,
        row_number() OVER by_recording AS call_rank,
        row_number() OVER by_call AS recording_rank,
        abs(lead(delta_seconds) OVER by_recording) - abs(delta_seconds) <= 60 AS has_rival
    FROM candidates
    WINDOW
        by_recording AS (PARTITION BY account, recording_id ORDER BY abs(delta_seconds), call_id),
        by_call AS (PARTITION BY account, call_id ORDER BY abs(delta_seconds), recording_id)
),

nearest AS (
    SELECT
        *,
        recording_rank = 1 AS is_mutual,
        max((recording_rank = 1)::INTEGER) OVER (PARTITION BY account, call_id) = 1 AS is_taken
    FROM ranked
    WHERE call_rank = 1
)

SELECT
    recordings.account,
    recordings.record_id AS recording_id,
    CASE WHEN is_taken THEN call_id END AS call_id,
    recordings.user_id,
    recordings.direction,
    recordings.recorded_at,
    CASE WHEN is_taken THEN delta_seconds END AS delta_seconds,
    CASE
        WHEN is_mutual AND has_rival THEN 'ambiguous'
        WHEN is_mutual THEN 'mutual_nearest'
        WHEN is_taken THEN 'extra_segment'
        ELSE 'unmatched'
    END AS status
FROM recordings
LEFT JOIN nearest
    ON nearest.account = recordings.account
    AND nearest.recording_id = recordings.record_id
