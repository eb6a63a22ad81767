"""Downloaded contents and recordings: the media files, the log of download attempts, the backlog.

Imports `warehouse.lake` and the folders above it.
"""
