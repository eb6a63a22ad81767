"""The work inside a run, without Dagster: pulling windows, archiving records, draining the inbox.

Imports `iplum_resource` and `warehouse`; never `pipelines.defs`.
"""
