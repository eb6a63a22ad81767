-- One row per recording whose file the archive has tried to fetch.
SELECT
    account,
    record_id,
    sha256,
    bytes,
    media_type,
    path,
    status,
    attempts,
    error,
    fetched_at,
    window_start
FROM
    read_parquet(
        $files,
        hive_partitioning => TRUE,
        hive_types => {'account': VARCHAR, 'window_start': DATE}
    )
