-- One row per record of `usage`, with its local time (IPLUM_TIMEZONE), whether that is in IPLUM_BUSINESS_HOURS, and the
-- names of its user and counterparty on that day (IPLUM_PEOPLE).
WITH local_usage AS (
    SELECT
        usage.*,
        started_at AT TIME ZONE time_zone AS local_started_at
    FROM usage
    INNER JOIN publication.settings USING (account)
)

SELECT
    local_usage.account,
    local_usage.record_id,
    local_usage.source,
    local_usage.client_reference_id,
    local_usage.channel,
    local_usage.type,
    local_usage.direction,
    local_usage.from_party,
    local_usage.to_party,
    local_usage.counterparty,
    local_usage.counterparty_kind,
    local_usage.user_id,
    local_usage.started_at,
    local_usage.ended_at,
    local_usage.duration_minutes,
    local_usage.credits,
    local_usage.origin,
    local_usage.first_seen_at,
    local_usage.last_seen_at,
    local_usage.absent_since,
    local_usage.window_start,
    local_usage.extra,
    local_usage.local_started_at,
    local_started_at::DATE AS local_date,
    hour(local_started_at) AS local_hour,
    isodow(local_started_at) AS weekday,
    CASE WHEN started_at IS NOT NULL THEN opens_minute IS NOT NULL END AS in_business_hours,
    user_names.name AS user_name,
    counterparty_names.name AS counterparty_name,
    user_names.team
FROM local_usage
-- At most one interval matches, because the intervals of an account do not overlap.
LEFT JOIN publication.business_hours AS hours
    ON hours.account = local_usage.account
    AND hours.weekday = isodow(local_started_at)
    AND hour(local_started_at) * 60 + minute(local_started_at) >= opens_minute
    AND hour(local_started_at) * 60 + minute(local_started_at) < closes_minute
-- At most one row matches in each, because the periods of a party do not overlap.
LEFT JOIN party_names AS user_names
    ON user_names.party = local_usage.user_id
    AND local_started_at::DATE BETWEEN user_names.valid_from AND user_names.valid_until
LEFT JOIN party_names AS counterparty_names
    ON counterparty_names.party = local_usage.counterparty
    AND local_started_at::DATE BETWEEN counterparty_names.valid_from AND counterparty_names.valid_until
