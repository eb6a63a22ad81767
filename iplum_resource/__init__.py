"""Everything that speaks HTTP and HMAC to iPlum: the signed client, limits, media downloads, the stand-in server.

Imports neither `warehouse` nor `pipelines`; only `resource.py` imports Dagster.
"""
