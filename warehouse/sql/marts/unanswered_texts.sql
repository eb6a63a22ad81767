-- Grain: account, user_id, counterparty.
-- One row per block of inbound texts without a reply by text, oldest first. The wait ends at the account's latest pull.
WITH waiting AS (
    SELECT
        text_responses.*,
        as_of
    FROM marts.text_responses
    INNER JOIN publication.settings USING (account)
    WHERE is_open
),

-- The first outbound call of any user after the last text.
called AS (
    SELECT
        waiting.account,
        waiting.user_id,
        waiting.counterparty,
        min(started_at) AS called_since
    FROM waiting
    INNER JOIN activity
        ON activity.account = waiting.account
        AND activity.counterparty = waiting.counterparty
        AND activity.started_at > last_text_at
    WHERE channel = 'call' AND direction = 'out'
    GROUP BY waiting.account, waiting.user_id, waiting.counterparty
)

SELECT
    waiting.account,
    waiting.user_id,
    waiting.counterparty,
    block_start,
    texts,
    last_text_at,
    seconds_between(block_start, as_of) AS waiting_seconds,
    business_seconds_before(as_of, at_end.opens_at, at_end.closes_at, at_end.seconds_before)
    - business_seconds_before(block_start, at_start.opens_at, at_start.closes_at, at_start.seconds_before)
        AS waiting_business_seconds,
    called_since,
    waiting_business_seconds / 3600 AS business_hours_waited,
    waiting.user_name,
    waiting.counterparty_name,
    waiting.team
FROM waiting
LEFT JOIN called
    ON called.account = waiting.account
    AND called.user_id IS NOT DISTINCT FROM waiting.user_id
    AND called.counterparty = waiting.counterparty
ASOF LEFT JOIN open_hours AS at_start
    ON at_start.account = waiting.account
    AND at_start.opens_at <= block_start
ASOF LEFT JOIN open_hours AS at_end
    ON at_end.account = waiting.account
    AND at_end.opens_at <= as_of
ORDER BY block_start, first_record_id
