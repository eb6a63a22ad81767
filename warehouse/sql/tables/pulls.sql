-- One row per API response or callback in the raw log.
SELECT
    regexp_extract(filename, '/account=([^/]+)/window_start=[^/]+/[^/]+$', 1) AS account,
    regexp_extract(filename, '/raw/([a-z_]+)/account=[^/]+/window_start=[^/]+/[^/]+$', 1) AS dataset,
    regexp_extract(filename, '/window_start=([^/]+)/[^/]+$', 1)::DATE AS window_start,
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
        hive_partitioning => FALSE
    )
