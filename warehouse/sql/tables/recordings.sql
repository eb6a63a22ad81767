-- One row per recording that the vendor announced.
SELECT
    account,
    record_id,
    source,
    client_reference_id,
    phone_number,
    direction,
    user_id,
    recorded_at,
    duration_minutes,
    length_text,
    length_bytes,
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
