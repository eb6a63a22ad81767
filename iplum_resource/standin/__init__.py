"""A stand-in for the iPlum API on a real socket, built from the vendor's documentation.

It shares no code with the client, so that a misreading in one is not repeated in the other. `options` describes its
behavior, and `server` runs it.
"""
