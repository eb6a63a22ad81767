"""Files in a local folder or an S3 bucket: paths, listings, atomic writes.

Imports `warehouse.schema` and the top-level modules.
"""
