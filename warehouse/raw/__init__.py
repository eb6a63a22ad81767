"""The append-only log of raw responses and callbacks, the callback inbox, and the log of deletions.

Imports `warehouse.storage` and the folders above it.
"""
