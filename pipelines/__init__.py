"""The joint: Dagster assets, schedules and the command line that bring vendor and warehouse together."""
