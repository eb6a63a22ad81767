-- One row per call, text or fax.
SELECT
    regexp_extract(filename, '/account=([^/]+)/window_start=[^/]+/[^/]+$', 1) AS account,
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
    regexp_extract(filename, '/window_start=([^/]+)/[^/]+$', 1)::DATE AS window_start,
    extra
FROM
    read_parquet(
        $files,
        filename => TRUE,
        hive_partitioning => FALSE
    )
