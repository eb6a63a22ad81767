"""The published database: publishing changed windows, building the marts, repairing stale windows.

Imports `warehouse.archive` and the folders above it.
"""
