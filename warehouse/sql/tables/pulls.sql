-- One row per answer of the API, as the raw log holds it.
SELECT
    account,
    regexp_extract(filename, '/raw/([a-z_]+)/account=[^/]+/window_start=[^/]+/[^/]+$', 1) AS dataset,
    window_start,
    request_start,
    request_end,
    usage_types,
    reason,
    pull_id,
    complete,
    pulled_at,
    "rows",
    body_bytes,
    body_sha256
FROM
    read_parquet(
        $files,
        filename => TRUE,
        hive_partitioning => TRUE,
        hive_types => {'account': VARCHAR, 'window_start': DATE}
    )
