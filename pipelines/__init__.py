"""The joint: Dagster assets, schedules and the command line that bring vendor and warehouse together.

Belongs here: orchestration, settings, commands. Does not belong here: HTTP and HMAC (`iplum_resource`), files and
SQL (`warehouse`).
"""
