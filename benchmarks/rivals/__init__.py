"""Alternatives to this project, each an independent program."""
