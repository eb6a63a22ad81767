"""Everything made from a published snapshot for a reader: queries, exports and the report.

Imports `warehouse.checks` and the folders above it.
"""
