-- Callback loss over all days, per account and dataset.
SELECT
    account,
    dataset,
    min(local_date) AS since,
    sum(pushed_and_pulled) AS pushed_and_pulled,
    sum(pushed_only) AS pushed_only,
    sum(pulled_only) AS pulled_only,
    sum(pulled_only) / nullif(sum(pushed_and_pulled + pulled_only), 0) AS loss_rate
FROM marts.callback_loss
GROUP BY account, dataset
ORDER BY account, dataset DESC
