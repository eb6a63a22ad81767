"""Deletion of old records, and the legal holds that exempt records from it.

Imports `warehouse.snapshot` and the folders above it.
"""
