"""Folding a window: normalizing its raw responses, merging the versions of each record, writing the lake file.

Imports `warehouse.raw` and the folders above it.
"""
