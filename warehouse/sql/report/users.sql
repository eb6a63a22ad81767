-- One row per user: records and reply times.
WITH answers AS (
    SELECT
        account,
        user_id,
        count(*) AS blocks,
        median(wait_seconds) AS median_wait,
        count(*) FILTER (WHERE wait_seconds <= 3600) / nullif(count(*), 0) AS within_1_h,
        count(*) FILTER (WHERE is_open) AS unanswered
    FROM marts.text_responses
    GROUP BY account, user_id
)

SELECT
    summary.account,
    summary.user_id,
    calls_in,
    calls_out,
    texts_in,
    texts_out,
    faxes_in + faxes_out AS faxes,
    minutes,
    credits,
    counterparties,
    after_hours_share,
    median_wait / 60 AS median_minutes,
    within_1_h,
    coalesce(unanswered, 0) AS unanswered
FROM marts.user_summary AS summary
LEFT JOIN answers
    ON answers.account = summary.account
    AND answers.user_id IS NOT DISTINCT FROM summary.user_id
ORDER BY summary.records DESC, summary.account, summary.user_id
