"""Benchmarks: ratios of this project to the alternatives, measured in the same run.

history · responses · api · lake  invented records, as API responses and as lake files
rivals/                           alternatives to this project, each an independent program
costs · workshop · profiling      running, measuring and profiling of programs
cases/                            one module per benchmark
findings · results                results as data, and the page RESULTS.md
crash/                            not a benchmark: commands killed at random moments, run by `make crash`
"""
