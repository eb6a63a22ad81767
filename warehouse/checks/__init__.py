"""Checks of data quality, and the verification of files, lake and published tables against each other.

Imports `warehouse.retention` and the folders above it.
"""
