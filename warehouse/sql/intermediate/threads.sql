-- One row per row of `timeline`, in the same order: the number of its thread within the conversation and overall (`place`).
-- A thread ends when nothing follows for 24 hours after its latest end. `is_alone`: the thread has no other record, as most.
WITH records AS (
    SELECT
        *,
        row_number() OVER () AS position,
        -- The conversation code comes first, so that each new conversation exceeds all earlier ones.
        max(chat * 9223372036854775808::HUGEINT + ends) OVER (ROWS UNBOUNDED PRECEDING) AS reached
    FROM timeline
),

steps AS (
    SELECT
        *,
        lag(chat) OVER () IS DISTINCT FROM chat AS is_new,
        coalesce(lag(reached) OVER () < chat * 9223372036854775808::HUGEINT + starts - 86400000000, TRUE) AS is_first,
        coalesce(lead(chat * 9223372036854775808::HUGEINT + starts) OVER () - 86400000000 > reached, TRUE) AS is_last
    FROM records
),

numbered AS (
    SELECT
        *,
        count(CASE WHEN is_first THEN 1 END) OVER (ROWS UNBOUNDED PRECEDING) AS place
    FROM steps
)

SELECT
    chat,
    place,
    place - max(CASE WHEN is_new THEN place END) OVER (ROWS UNBOUNDED PRECEDING) + 1 AS thread,
    is_first AND is_last AS is_alone,
    position,
    starts,
    ends,
    label
FROM numbered
