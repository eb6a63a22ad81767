"""Dagster, the command line and the callback receiver, which join `iplum_resource` and `warehouse`."""
