"""Files, Parquet and DuckDB: storage, the raw log, the lake, the archive, the published snapshot and its outputs.

Imports neither `iplum_resource` nor `pipelines`. A folder uses only those before it: schema, storage, raw, lake,
archive, snapshot, retention, checks, outputs.
"""
