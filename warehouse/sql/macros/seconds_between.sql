-- The seconds from one instant to a later one, with microseconds.
CREATE OR REPLACE MACRO seconds_between(begins, ends) AS date_diff('microseconds', begins, ends) / 1e6
