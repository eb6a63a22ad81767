-- Calls and recorded calls per week.
SELECT
    date_trunc('week', local_date)::DATE AS local_week,
    sum(calls) AS calls,
    sum(recorded_calls) AS recorded_calls,
    sum(recorded_calls) / nullif(sum(calls), 0) AS share,
    sum(unmatched_recordings) AS unmatched_recordings
FROM marts.recording_coverage
WHERE local_date IS NOT NULL
GROUP BY local_week
ORDER BY local_week
