"""The evidence chain: signed entries over everything that was added, so that any later change shows.

It imports `storage`, `raw` and `retention` only.
"""
