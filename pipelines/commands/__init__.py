"""What an administrator types, a module each; a new command is a module here and a name in `pipelines.cli`.

Belongs here: a command's options, texts and exit codes. Does not belong here: its work, which is imported when the
command runs, since `--help` must not wait for Dagster and pandas.
"""
