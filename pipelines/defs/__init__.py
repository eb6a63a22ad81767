"""Dagster definitions: assets, jobs, schedules, sensors and asset checks.

The work inside a run lives in `pipelines.steps`.
"""
