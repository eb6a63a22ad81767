-- Grain: account, counterparty.
-- One row per phone number outside the account whose last call or text was inbound, by any user, oldest first. An outbound
-- call or text at the same time or later is a follow-up. The wait ends at the account's latest pull.
WITH records AS (
    SELECT
        activity.account,
        counterparty,
        channel,
        direction,
        user_id,
        record_id,
        started_at,
        user_name,
        counterparty_name,
        team
    FROM activity
    ANTI JOIN own_parties
        ON own_parties.account = activity.account
        AND own_parties.party = activity.counterparty
    WHERE
        counterparty_kind = 'phone'
        AND counterparty IS NOT NULL
        AND channel IN ('call', 'text')
        AND direction IN ('in', 'out')
        AND started_at IS NOT NULL
),

followed_up AS (
    SELECT
        account,
        counterparty,
        max(started_at) AS last_out_at
    FROM records
    WHERE direction = 'out'
    GROUP BY account, counterparty
),

missed AS (
    SELECT
        records.account,
        records.counterparty,
        any_value(last_out_at) AS last_out_at,
        max(started_at) AS last_in_at,
        -- Of several at the same time, the one with the highest record ID counts as the last.
        arg_max(channel, {'started_at': started_at, 'record_id': record_id}) AS channel,
        arg_max_null(user_id, {'started_at': started_at, 'record_id': record_id}) AS user_id,
        count(*) AS inbound_since_last_out,
        arg_max_null(user_name, {'started_at': started_at, 'record_id': record_id}) AS user_name,
        arg_max_null(counterparty_name, {'started_at': started_at, 'record_id': record_id}) AS counterparty_name,
        arg_max_null(team, {'started_at': started_at, 'record_id': record_id}) AS team
    FROM records
    LEFT JOIN followed_up
        ON followed_up.account = records.account
        AND followed_up.counterparty = records.counterparty
    WHERE direction = 'in' AND (last_out_at IS NULL OR started_at > last_out_at)
    GROUP BY records.account, records.counterparty
)

SELECT
    missed.account,
    counterparty,
    last_in_at,
    channel,
    user_id,
    last_out_at,
    inbound_since_last_out,
    (
        business_seconds_before(as_of, at_end.opens_at, at_end.closes_at, at_end.seconds_before)
        - business_seconds_before(last_in_at, at_start.opens_at, at_start.closes_at, at_start.seconds_before)
    ) / 3600 AS business_hours_waited,
    user_name,
    counterparty_name,
    team
FROM missed
INNER JOIN publication.settings AS settings
    ON settings.account = missed.account
ASOF LEFT JOIN open_hours AS at_start
    ON at_start.account = missed.account
    AND at_start.opens_at <= last_in_at
ASOF LEFT JOIN open_hours AS at_end
    ON at_end.account = missed.account
    AND at_end.opens_at <= as_of
ORDER BY last_in_at, counterparty
