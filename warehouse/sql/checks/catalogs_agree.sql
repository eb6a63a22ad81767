-- One row per table, view or macro that differs between the databases `published` and `rebuilt`.
WITH objects AS (
    SELECT database_name, schema_name || '.' || table_name AS name, 'table' AS kind, sql AS definition
    FROM duckdb_tables()
    UNION ALL
    SELECT database_name, schema_name || '.' || view_name, 'view', sql
    FROM duckdb_views()
    WHERE NOT internal
    UNION ALL
    SELECT database_name, schema_name || '.' || function_name, 'macro', macro_definition
    FROM duckdb_functions()
    WHERE NOT internal
)

SELECT
    name,
    kind,
    bool_or(database_name = 'published') AS is_published,
    bool_or(database_name = 'rebuilt') AS is_expected
FROM objects
WHERE database_name IN ('published', 'rebuilt')
GROUP BY name, kind, definition
HAVING count(*) < 2
ORDER BY name, kind
