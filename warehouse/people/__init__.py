"""Names of people: contact files, the equality of numbers and logins, and the directory built from them.

It imports `storage` only.
"""
