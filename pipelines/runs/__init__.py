"""The runs that a command starts, from the choice of windows to the final report.

Imports `pipelines.defs`, `pipelines.steps` and `pipelines.settings`.
"""
