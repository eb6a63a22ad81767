-- When the data were published, and up to when they reach.
SELECT
    build.published_at AT TIME ZONE settings.time_zone AS published,
    settings.as_of AT TIME ZONE settings.time_zone AS reaches,
    settings.time_zone,
    settings.business_hours
FROM publication.build
CROSS JOIN publication.settings
