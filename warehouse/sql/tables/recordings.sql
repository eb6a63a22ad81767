-- One row per call recording.
SELECT
    regexp_extract(filename, '/account=([^/]+)/window_start=[^/]+/[^/]+$', 1) AS account,
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
    regexp_extract(filename, '/window_start=([^/]+)/[^/]+$', 1)::DATE AS window_start,
    extra
FROM
    read_parquet(
        $files,
        filename => TRUE,
        hive_partitioning => FALSE
    )
