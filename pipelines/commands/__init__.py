"""The commands of `iplum`, one module each. A new command is a module here and a name in `pipelines.cli`.

Modules import the work itself when a command runs, because `--help` must not load Dagster and pandas.
"""
