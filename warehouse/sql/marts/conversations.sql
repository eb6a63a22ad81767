-- Grain: account, user_id, counterparty, thread.
WITH steps AS (
    SELECT
        account,
        user_id,
        counterparty,
        channel,
        direction,
        started_at,
        record_id,
        greatest(started_at, ended_at) AS reached_at,
        started_at - max(greatest(started_at, ended_at)) OVER (
            PARTITION BY account, user_id, counterparty
            ORDER BY started_at, record_id
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) <= INTERVAL 24 HOURS AS goes_on
    FROM usage
    WHERE started_at IS NOT NULL AND counterparty IS NOT NULL
),

threads AS (
    SELECT
        *,
        NOT coalesce(goes_on, FALSE) AS opens,
        NOT coalesce(lead(goes_on) OVER party, FALSE) AS closes,
        sum((NOT coalesce(goes_on, FALSE))::INTEGER) OVER party AS thread
    FROM steps
    WINDOW party AS (PARTITION BY account, user_id, counterparty ORDER BY started_at, record_id)
)

SELECT
    account,
    user_id,
    counterparty,
    thread,
    min(started_at) AS started_at,
    max(reached_at) AS ended_at,
    count(*) AS records,
    count(*) FILTER (WHERE channel = 'call') AS calls,
    count(*) FILTER (WHERE channel = 'text') AS texts,
    count(*) FILTER (WHERE channel = 'fax') AS faxes,
    max(direction) FILTER (WHERE opens) AS opened_by,
    max(direction) FILTER (WHERE closes) AS closed_by
FROM threads
GROUP BY ALL
