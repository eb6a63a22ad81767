-- Days on which more than one in a hundred pulled records had no callback.
SELECT
    dataset AS table_name,
    account,
    local_date,
    pulled_only
FROM marts.callback_loss
WHERE loss_rate > 0.01
