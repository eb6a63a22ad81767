-- Tables, views and macros of the attached database `warehouse`: one row per name.
SELECT schema_name || '.' || table_name AS name
FROM duckdb_tables()
WHERE database_name = 'warehouse'
UNION
SELECT schema_name || '.' || view_name AS name
FROM duckdb_views()
WHERE database_name = 'warehouse' AND NOT internal
UNION
SELECT schema_name || '.' || function_name AS name
FROM duckdb_functions()
WHERE database_name = 'warehouse' AND NOT internal
