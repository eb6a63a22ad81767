-- Grain: account, user_id, counterparty: the blocks that are open, oldest first.
SELECT
    text_responses.account,
    user_id,
    counterparty,
    block_start,
    texts,
    last_text_at,
    (epoch_us(as_of) - epoch_us(block_start)) / 1e6 AS waiting_seconds,
    CASE
        WHEN as_of IS NOT NULL THEN
            coalesce(
                at_end.seconds_before
                + (epoch_us(least(as_of, at_end.closes_at)) - epoch_us(at_end.opens_at)) / 1e6,
                0
            ) - coalesce(
                at_start.seconds_before
                + (epoch_us(least(block_start, at_start.closes_at)) - epoch_us(at_start.opens_at)) / 1e6,
                0
            )
    END AS waiting_business_seconds
FROM marts.text_responses
INNER JOIN publication.settings USING (account)
ASOF LEFT JOIN office_hours AS at_start
    ON at_start.account = text_responses.account
    AND block_start >= at_start.opens_at
ASOF LEFT JOIN office_hours AS at_end
    ON at_end.account = text_responses.account
    AND as_of >= at_end.opens_at
WHERE is_open
ORDER BY block_start, first_record_id
