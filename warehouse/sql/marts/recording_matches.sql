-- Grain: account, recording_id.
-- Instants and days are counted in microseconds, ten times as fast as timestamps. Rows are identified by `rowid`; IDs are
-- compared only between equally near candidates.
WITH calls AS (
    SELECT
        local_usage.rowid AS call_number,
        chat,
        direction,
        starts,
        starts - 120000000 AS earliest,
        starts + 900000000 + greatest(
            -- No call is longer than a year; without this limit, one absurd duration would make publishing fail.
            (least(coalesce(minutes, 0), 525600) * 60000000)::BIGINT,
            ends - starts
        ) AS latest
    FROM local_usage
    INNER JOIN labels USING (label)
    WHERE channel = 'call' AND direction IN ('in', 'out') AND starts IS NOT NULL AND party > 0 AND member > 0
),

-- The days that a call touches, so that candidates are compared day by day.
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
        recordings.rowid AS recording_number,
        member * 4294967296 + party AS chat,
        direction,
        epoch_us(recorded_at) AS starts,
        epoch_us(recorded_at) // 86400000000 AS day
    FROM recordings
    INNER JOIN members
        ON members.account = recordings.account
        AND members.user_id = recordings.user_id
    INNER JOIN parties
        ON parties.account = recordings.account
        AND parties.counterparty = recordings.phone_number
    WHERE direction IN ('in', 'out')
),

candidates AS (
    SELECT
        recording_number,
        call_number,
        recorded.starts - called_days.starts AS delta
    FROM recorded
    INNER JOIN called_days USING (chat, direction, day)
    WHERE recorded.starts BETWEEN earliest AND latest
),

counted AS (
    SELECT
        candidates.*,
        calls_near > 1 OR recordings_near > 1 AS is_contested
    FROM candidates
    INNER JOIN (SELECT recording_number, count(*) AS calls_near FROM candidates GROUP BY ALL) USING (recording_number)
    INNER JOIN (SELECT call_number, count(*) AS recordings_near FROM candidates GROUP BY ALL) USING (call_number)
),

ranked AS (
    SELECT
        recording_number,
        call_number,
        delta,
        row_number() OVER by_recording AS call_rank,
        row_number() OVER by_call AS recording_rank,
        lead(abs(delta)) OVER by_recording - abs(delta) <= 60000000 AS has_rival
    FROM counted
    INNER JOIN local_usage ON local_usage.rowid = call_number
    INNER JOIN recordings ON recordings.rowid = recording_number
    WHERE is_contested
    WINDOW
        by_recording AS (PARTITION BY recording_number ORDER BY abs(delta), local_usage.record_id),
        by_call AS (PARTITION BY call_number ORDER BY abs(delta), recordings.record_id)
),

taken AS (
    SELECT call_number
    FROM ranked
    WHERE call_rank = 1 AND recording_rank = 1
),

nearest AS (
    SELECT
        recording_number,
        call_number,
        delta,
        'mutual_nearest' AS status
    FROM counted
    WHERE NOT is_contested
    UNION ALL
    SELECT
        recording_number,
        call_number,
        delta,
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
    local_usage.record_id AS call_id,
    user_id,
    direction,
    recorded_at,
    delta / 1e6 AS delta_seconds,
    coalesce(status, 'unmatched') AS status
FROM recordings
LEFT JOIN nearest ON nearest.recording_number = recordings.rowid
LEFT JOIN local_usage ON local_usage.rowid = nearest.call_number
