-- One row per combination of the words that records share, with numbers for all of them, and for channel and direction:
-- cheaper to group by than texts.
SELECT
    account,
    client_reference_id,
    channel,
    type,
    direction,
    (row_number() OVER ())::INTEGER AS label,
    (dense_rank() OVER (ORDER BY channel, direction))::INTEGER AS way
FROM (
    SELECT DISTINCT
        account,
        client_reference_id,
        channel,
        type,
        direction
    FROM usage
)
