-- One row per combination of channel, type, direction and client reference, with integer codes, which are faster to group
-- by than texts.
SELECT
    account,
    client_reference_id,
    channel,
    type,
    direction,
    (row_number() OVER (ORDER BY account, client_reference_id, channel, type, direction))::INTEGER AS label,
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
