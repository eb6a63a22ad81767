-- Grain: account, user_id, counterparty: open blocks, oldest first.
WITH waiting AS (
    SELECT
        text_responses.*,
        epoch_us(block_start) AS begins,
        epoch_us(as_of) AS looked
    FROM marts.text_responses
    INNER JOIN publication.settings USING (account)
    WHERE is_open
)

SELECT
    waiting.account,
    user_id,
    counterparty,
    block_start,
    texts,
    last_text_at,
    (looked - begins) / 1e6 AS waiting_seconds,
    CASE
        WHEN looked IS NOT NULL THEN
            coalesce(at_end.seconds_before + (least(looked, at_end.closes) - at_end.opens) / 1e6, 0)
            - coalesce(at_start.seconds_before + (least(begins, at_start.closes) - at_start.opens) / 1e6, 0)
    END AS waiting_business_seconds
FROM waiting
LEFT JOIN business_hours AS at_start
    ON at_start.account = waiting.account
    AND at_start.utc_day = begins // 86400000000
    AND begins >= at_start.opens
    AND begins < at_start.until
LEFT JOIN business_hours AS at_end
    ON at_end.account = waiting.account
    AND at_end.utc_day = looked // 86400000000
    AND looked >= at_end.opens
    AND looked < at_end.until
ORDER BY block_start, first_record_id
