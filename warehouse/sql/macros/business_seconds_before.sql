-- The business seconds of an account before an instant, by the columns of the row of `open_hours` that opened last.
CREATE OR REPLACE MACRO business_seconds_before(instant, opens_at, closes_at, seconds_before) AS
    CASE WHEN instant IS NOT NULL THEN
        coalesce(seconds_before + seconds_between(opens_at, least(instant, closes_at)), 0)
    END
