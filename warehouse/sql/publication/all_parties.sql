-- Every spelling of a number or login in the records: one row per party.
SELECT DISTINCT party
FROM (
  SELECT unnest([user_id, from_party, to_party, counterparty]) AS party FROM usage
  UNION ALL
  SELECT unnest([user_id, phone_number]) AS party FROM recordings
)
WHERE party IS NOT NULL
ORDER BY party
