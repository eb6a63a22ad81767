-- Grain: account, user_id, counterparty, block.
-- One row per block: the inbound texts of a user and a counterparty after one outbound text and before the next, which is
-- the reply.
WITH texts AS (
    SELECT
        account,
        user_id,
        counterparty,
        direction,
        started_at,
        record_id,
        user_name,
        counterparty_name,
        team,
        row_number() OVER in_order AS position,
        count(*) FILTER (WHERE direction = 'out') OVER (
            in_order ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS outbound_before
    FROM activity
    WHERE channel = 'text' AND direction IN ('in', 'out') AND started_at IS NOT NULL AND counterparty IS NOT NULL
    WINDOW in_order AS (PARTITION BY account, user_id, counterparty ORDER BY started_at, record_id)
),

-- The inbound texts of a block and its reply have the same number of outbound texts before them.
blocks AS (
    SELECT
        account,
        user_id,
        counterparty,
        outbound_before,
        min(started_at) FILTER (WHERE direction = 'in') AS block_start,
        max(started_at) FILTER (WHERE direction = 'in') AS last_text_at,
        count(*) FILTER (WHERE direction = 'in') AS texts,
        arg_min(record_id, position) FILTER (WHERE direction = 'in') AS first_record_id,
        min(started_at) FILTER (WHERE direction = 'out') AS replied_at,
        min(record_id) FILTER (WHERE direction = 'out') AS reply_record_id,
        arg_min_null(user_name, position) AS user_name,
        arg_min_null(counterparty_name, position) AS counterparty_name,
        arg_min_null(team, position) AS team
    FROM texts
    GROUP BY account, user_id, counterparty, outbound_before
),

numbered AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY account, user_id, counterparty ORDER BY outbound_before) AS block
    FROM blocks
    WHERE texts > 0
)

SELECT
    numbered.account,
    user_id,
    counterparty,
    block,
    block_start,
    last_text_at,
    texts,
    replied_at,
    seconds_between(block_start, replied_at) AS wait_seconds,
    business_seconds_before(replied_at, at_reply.opens_at, at_reply.closes_at, at_reply.seconds_before)
    - business_seconds_before(block_start, at_start.opens_at, at_start.closes_at, at_start.seconds_before)
        AS business_wait_seconds,
    replied_at IS NULL AS is_open,
    first_record_id,
    reply_record_id,
    user_name,
    counterparty_name,
    team
FROM numbered
ASOF LEFT JOIN open_hours AS at_start
    ON at_start.account = numbered.account
    AND at_start.opens_at <= block_start
ASOF LEFT JOIN open_hours AS at_reply
    ON at_reply.account = numbered.account
    AND at_reply.opens_at <= replied_at
