"""The benchmarks: this project measured against what a user would pick instead, in ratios of one run.

history · answers · api · lake    invented records, as the API's bytes and as lake files
rivals/                           what a user would pick instead, each as its own program
costs · workshop · profiling      running a program and measuring it
cases/                            one module for each question
findings · results                what was found, and the page about it
crash/                            no measurement: runs killed at random moments, by `make crash`
"""
