"""The storage side: raw log, normalisation, lake, published snapshot.

Belongs here: files, Parquet, pandas, DuckDB and SQL. Does not belong here: HTTP, signatures, Dagster, the
environment. Nothing here imports `iplum_resource` or `pipelines`.
"""
