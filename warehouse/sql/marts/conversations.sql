-- Grain: account, user_id, counterparty, thread.
-- One row per thread: records of a user and a counterparty without a gap of over 24 hours between the latest end so far
-- and the next start. At the same instant, inbound records come first.
WITH records AS (
    SELECT
        account,
        user_id,
        counterparty,
        channel,
        direction,
        user_name,
        counterparty_name,
        team,
        started_at,
        greatest(started_at, ended_at) AS ended_at
    FROM activity
    WHERE started_at IS NOT NULL AND counterparty IS NOT NULL
),

ordered AS (
    SELECT
        *,
        row_number() OVER in_order AS position,
        max(ended_at) OVER (in_order ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS ended_before
    FROM records
    WINDOW in_order AS (PARTITION BY account, user_id, counterparty ORDER BY started_at, direction)
),

numbered AS (
    SELECT
        *,
        count(*) FILTER (WHERE ended_before IS NULL OR started_at > ended_before + INTERVAL 24 HOURS) OVER (
            PARTITION BY account, user_id, counterparty ORDER BY position
        ) AS thread
    FROM ordered
)

SELECT
    account,
    user_id,
    counterparty,
    thread,
    min(started_at) AS started_at,
    max(ended_at) AS ended_at,
    count(*) AS records,
    count(*) FILTER (WHERE channel = 'call') AS calls,
    count(*) FILTER (WHERE channel = 'text') AS texts,
    count(*) FILTER (WHERE channel = 'fax') AS faxes,
    arg_min_null(direction, position) AS opened_by,
    arg_max_null(direction, position) AS closed_by,
    arg_max_null(user_name, position) AS user_name,
    arg_max_null(counterparty_name, position) AS counterparty_name,
    arg_max_null(team, position) AS team
FROM numbered
GROUP BY account, user_id, counterparty, thread
