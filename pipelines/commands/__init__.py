"""What an administrator types, a module each; a new command is a module here and a name in `pipelines.cli`."""
