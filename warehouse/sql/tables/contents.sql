-- One row per text or fax that the archive has attempted.
SELECT
    regexp_extract(filename, '/account=([^/]+)/window_start=[^/]+/[^/]+$', 1) AS account,
    record_id,
    kind,
    body,
    sha256,
    bytes,
    media_type,
    path,
    status,
    attempts,
    error,
    fetched_at,
    origin,
    regexp_extract(filename, '/window_start=([^/]+)/[^/]+$', 1)::DATE AS window_start
FROM
    read_parquet(
        $files,
        filename => TRUE,
        hive_partitioning => FALSE
    )
