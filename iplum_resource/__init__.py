"""The vendor's side: everything that speaks HTTP and HMAC to iPlum.

Belongs here: requests, signatures, limits, retries, the vendor's errors, and a stand-in server for tests.
Does not belong here: storage, tables, paths, schedules. Nothing here imports `warehouse` or `pipelines`,
and only `resource.py` knows Dagster.
"""
