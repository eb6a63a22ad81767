-- Counterparties and users without a name, the most frequent first: one row per party.
SELECT
  party,
  any_value(kind) AS kind,
  count(*) AS records,
  max(started_at)::DATE AS last_day
FROM (
  SELECT counterparty AS party, counterparty_kind AS kind, started_at FROM usage
  UNION ALL
  SELECT user_id AS party, 'login' AS kind, started_at FROM usage
)
WHERE party IS NOT NULL AND party NOT IN (SELECT party FROM party_names)
GROUP BY party
ORDER BY records DESC, party
LIMIT $limit
