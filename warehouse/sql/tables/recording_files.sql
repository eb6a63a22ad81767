-- One row per recording whose file the archive has attempted.
SELECT
    regexp_extract(filename, '/account=([^/]+)/window_start=[^/]+/[^/]+$', 1) AS account,
    record_id,
    sha256,
    bytes,
    media_type,
    path,
    status,
    attempts,
    error,
    fetched_at,
    regexp_extract(filename, '/window_start=([^/]+)/[^/]+$', 1)::DATE AS window_start
FROM
    read_parquet(
        $files,
        filename => TRUE,
        hive_partitioning => FALSE
    )
