"""A stand-in for the iPlum API on a real socket, built from the vendor's documentation.

Shares no line with the client, so that the two cannot be wrong together. `options` describes its behavior, and
`server` runs it.
"""
