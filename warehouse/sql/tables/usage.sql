-- One row per record: every call, text and fax of each user.
SELECT
    account,
    record_id,
    source,
    client_reference_id,
    channel,
    type,
    direction,
    from_party,
    to_party,
    counterparty,
    counterparty_kind,
    user_id,
    started_at,
    ended_at,
    duration_minutes,
    credits,
    origin,
    first_seen_at,
    last_seen_at,
    absent_since,
    window_start,
    extra
FROM
    read_parquet(
        $files,
        hive_partitioning => TRUE,
        hive_types => {'account': VARCHAR, 'window_start': DATE}
    )
