-- The end of a window (TIMESTAMPTZ) by its first day.
CREATE OR REPLACE MACRO window_end(first_day) AS
    least(first_day + INTERVAL 5 DAY, date_trunc('month', first_day) + INTERVAL 1 MONTH) AT TIME ZONE 'UTC'
