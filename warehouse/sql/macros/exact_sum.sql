-- The sum of credits without the last digits of binary fractions: ten times 0.1 is 1.0, in whatever order.
CREATE OR REPLACE MACRO exact_sum(amount) AS round(sum(amount), 9)
