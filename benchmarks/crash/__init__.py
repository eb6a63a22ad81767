"""Crash tests: commands are killed with SIGKILL at random moments and run again, and the final tables are compared.

    cases      the commands, and the data folder that each starts with
    victims    forked processes that are killed
    trials     kills and comparisons of the final tables

`python -m benchmarks.crash [--kills N] [--seed S] [CASE...]` kills each case N times against the local stand-in. It
exits with 1 if the final tables differ from those of an uninterrupted run.
"""
