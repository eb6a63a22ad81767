-- One row per day of the last 30 on which more than 1 % of the pulled records had no callback.
SELECT
    dataset AS table_name,
    account,
    local_date,
    pulled_only
FROM marts.callback_loss
WHERE loss_rate > 0.01 AND local_date > (SELECT max(local_date) FROM marts.callback_loss) - 30
