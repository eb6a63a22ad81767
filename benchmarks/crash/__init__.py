"""Killed with -9 at random moments, hundreds of times: the next run ends in the tables of one that was left alone.

    cases      the commands, and the folder that each begins with
    victims    forked processes that end before their time
    trials     kills, and what is there after them

`python -m benchmarks.crash [--kills N] [--seed S] [CASE...]` plays N kills of each case against the local stand-in
and exits with 1 when any of them left a trace.
"""
